//! The machines for which programs are built.

use clap::ValueEnum;

/// An operating system and a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Target {
    /// Linux on 64-bit x86.
    #[value(name = "linux/amd64")]
    LinuxAmd64,
    /// Linux on 64-bit ARM.
    #[value(name = "linux/arm64")]
    LinuxArm64,
    /// macOS on 64-bit x86.
    #[value(name = "darwin/amd64")]
    DarwinAmd64,
    /// macOS on Apple's processors.
    #[value(name = "darwin/arm64")]
    DarwinArm64,
    /// Windows on 64-bit x86.
    #[value(name = "windows/amd64")]
    WindowsAmd64,
    /// Windows on 64-bit ARM.
    #[value(name = "windows/arm64")]
    WindowsArm64,
}

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    /// Linux, with the C library in the program.
    Linux,
    /// macOS, which kubectl calls darwin.
    Darwin,
    /// Windows.
    Windows,
}

impl Os {
    /// The name that kubectl's plugins and Go give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Darwin => "darwin",
            Self::Windows => "windows",
        }
    }
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::LinuxAmd64,
        Self::LinuxArm64,
        Self::DarwinAmd64,
        Self::DarwinArm64,
        Self::WindowsAmd64,
        Self::WindowsArm64,
    ];

    /// The operating system.
    pub fn os(self) -> Os {
        match self {
            Self::LinuxAmd64 | Self::LinuxArm64 => Os::Linux,
            Self::DarwinAmd64 | Self::DarwinArm64 => Os::Darwin,
            Self::WindowsAmd64 | Self::WindowsArm64 => Os::Windows,
        }
    }

    /// The name that images, kubectl's plugins and Go give to the processor.
    pub fn arch(self) -> &'static str {
        match self {
            Self::LinuxAmd64 | Self::DarwinAmd64 | Self::WindowsAmd64 => "amd64",
            Self::LinuxArm64 | Self::DarwinArm64 | Self::WindowsArm64 => "arm64",
        }
    }

    /// Rust's name. No target needs a C library or a compiler's run-time library as a file: on Linux
    /// that is musl, and on Windows `gnullvm`, for which rustc itself writes the import libraries.
    pub fn rust(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-unknown-linux-musl",
            Self::LinuxArm64 => "aarch64-unknown-linux-musl",
            Self::DarwinAmd64 => "x86_64-apple-darwin",
            Self::DarwinArm64 => "aarch64-apple-darwin",
            Self::WindowsAmd64 => "x86_64-pc-windows-gnullvm",
            Self::WindowsArm64 => "aarch64-pc-windows-gnullvm",
        }
    }
}

impl std::fmt::Display for Target {
    /// As people write it, `linux/amd64`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os().name(), self.arch())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for target in Target::ALL {
            let read = Target::from_str(&target.to_string(), false);
            assert_eq!(read, Ok(target));
        }
        assert_eq!(Target::value_variants(), Target::ALL);
    }
}
