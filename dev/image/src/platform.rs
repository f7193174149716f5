//! The platforms of the image: how Rust, 1Password's core and the image's own metadata call each.

use clap::ValueEnum;
use keyloan_artifact::Target;
use oci_spec::image::Arch;

/// A platform that the image can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// 64-bit x86.
    #[value(name = "linux/amd64")]
    Amd64,
    /// 64-bit ARM.
    #[value(name = "linux/arm64")]
    Arm64,
}

impl Platform {
    /// The platform of this machine.
    pub const HERE: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm64
    } else {
        Self::Amd64
    };

    /// The platform as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
        }
    }

    /// What the operator is built for.
    pub fn target(self) -> Target {
        match self {
            Self::Amd64 => Target::LinuxAmd64,
            Self::Arm64 => Target::LinuxArm64,
        }
    }

    /// The target for which the core is compiled. The compiled core uses no C library, so it is the
    /// one that the operator names in `onepassword::core::artifact`.
    pub fn core_target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The architecture in the image's metadata.
    pub fn architecture(self) -> Arch {
        match self {
            Self::Amd64 => Arch::Amd64,
            Self::Arm64 => Arch::ARM64,
        }
    }
}
