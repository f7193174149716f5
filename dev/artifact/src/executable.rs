//! What a program file says of itself: the machine that it is for, and the libraries that it loads.

use anyhow::{Context, Result, ensure};
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::macho::{CPU_TYPE_ARM64, CPU_TYPE_X86_64, MH_EXECUTE, MachHeader64};
use object::pe::{IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_ARM64};
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::read::macho::MachHeader as _;
use object::read::pe::PeFile64;
use object::{Endianness, LittleEndian};

use crate::signature::ensure_signed;
use crate::target::{Os, Target};

/// The folders in which every macOS has its libraries.
const OF_MACOS: [&str; 2] = ["/System/Library/Frameworks/", "/usr/lib/"];
/// The libraries of Windows that a program may load, without the ending `.dll`. Of those whose name
/// ends with a hyphen, only the beginning.
const OF_WINDOWS: [&str; 13] = [
    "advapi32",
    "api-ms-win-core-",
    "api-ms-win-crt-",
    "bcrypt",
    "bcryptprimitives",
    "crypt32",
    "kernel32",
    "ntdll",
    "ole32",
    "secur32",
    "shell32",
    "userenv",
    "ws2_32",
];

/// An error if a program is not for this target, or needs more than what every such machine has.
pub fn ensure_portable(program: &[u8], target: Target) -> Result<()> {
    let libraries = libraries(program, target)?;
    let is_known = |library: &&String| match target.os() {
        Os::Linux => false,
        Os::Darwin => OF_MACOS.iter().any(|folder| library.starts_with(folder)),
        Os::Windows => is_of_windows(library),
    };
    let unknown: Vec<_> = libraries.iter().filter(|of| !is_known(of)).collect();
    ensure!(
        unknown.is_empty(),
        "it needs a loader and libraries that not every machine has: {unknown:?}"
    );
    if target.os() == Os::Darwin {
        ensure_signed(program)?;
    }
    Ok(())
}

fn is_of_windows(library: &str) -> bool {
    let library = library.to_lowercase();
    let Some(name) = library.strip_suffix(".dll") else {
        return false;
    };
    let is = |known: &&str| match known.ends_with('-') {
        true => name.starts_with(*known),
        false => name == *known,
    };
    OF_WINDOWS.iter().any(is)
}

/// The files that are loaded together with a program. Of a program for Linux, only its loader, which
/// finds the libraries: there is none where everything is in the program.
pub fn libraries(program: &[u8], target: Target) -> Result<Vec<String>> {
    let is_amd64 = target.arch() == "amd64";
    let (is_for_target, libraries) = match target.os() {
        Os::Linux => {
            let machine = if is_amd64 { EM_X86_64 } else { EM_AARCH64 };
            let (is, loader) = of_elf(program).context("it is not an ELF program")?;
            (is == machine, loader)
        }
        Os::Darwin => {
            let machine = if is_amd64 {
                CPU_TYPE_X86_64
            } else {
                CPU_TYPE_ARM64
            };
            let (is, libraries) = of_mach_o(program).context("it is not a Mach-O program")?;
            (is == machine, libraries)
        }
        Os::Windows => {
            let machine = match is_amd64 {
                true => IMAGE_FILE_MACHINE_AMD64,
                false => IMAGE_FILE_MACHINE_ARM64,
            };
            let (is, libraries) = of_pe(program).context("it is not a PE program")?;
            (is == machine, libraries)
        }
    };
    ensure!(is_for_target, "it is not a program for {target}");
    Ok(libraries)
}

fn of_elf(program: &[u8]) -> Result<(u16, Vec<String>)> {
    let header = FileHeader64::<Endianness>::parse(program)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, program)?;
    let loader = segments.iter().find(|of| of.p_type(endian) == PT_INTERP);
    let loader = loader.map(|segment| segment.data(endian, program));
    let loader = loader.transpose().ok().context("its loader has no name")?;
    Ok((
        header.e_machine(endian),
        loader.map(text).into_iter().collect(),
    ))
}

fn of_mach_o(program: &[u8]) -> Result<(u32, Vec<String>)> {
    let header = MachHeader64::<Endianness>::parse(program, 0)?;
    let endian = header.endian()?;
    ensure!(header.filetype(endian) == MH_EXECUTE, "it is a library");
    let mut commands = header.load_commands(endian, program, 0)?;
    let mut libraries = Vec::new();
    while let Some(command) = commands.next()? {
        if let Some(library) = command.dylib()? {
            libraries.push(text(command.string(endian, library.dylib.name)?));
        }
    }
    Ok((header.cputype(endian), libraries))
}

fn of_pe(program: &[u8]) -> Result<(u16, Vec<String>)> {
    let file = PeFile64::parse(program)?;
    let machine = file.nt_headers().file_header.machine.get(LittleEndian);
    let mut libraries = Vec::new();
    if let Some(table) = file.import_table()? {
        let mut imports = table.descriptors()?;
        while let Some(import) = imports.next()? {
            libraries.push(text(table.name(import.name.get(LittleEndian))?));
        }
    }
    Ok((machine, libraries))
}

fn text(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test's own program, which is linked to the C library.
    fn of_this_machine() -> (Vec<u8>, [Target; 2]) {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let targets = [Target::LinuxAmd64, Target::LinuxArm64];
        match cfg!(target_arch = "aarch64") {
            true => (program, [targets[1], targets[0]]),
            false => (program, targets),
        }
    }

    #[test]
    fn a_program_that_needs_a_loader_is_refused() {
        let (program, [here, _]) = of_this_machine();
        let error = ensure_portable(&program, here).unwrap_err();
        assert!(error.to_string().contains("loader"), "{error:#}");
    }

    #[test]
    fn a_program_for_another_processor_or_system_is_refused() {
        let (program, [_, other]) = of_this_machine();
        let error = ensure_portable(&program, other).unwrap_err().to_string();
        assert!(error.contains(&other.to_string()), "{error}");
        for (target, format) in [
            (Target::DarwinArm64, "Mach-O"),
            (Target::WindowsAmd64, "PE"),
        ] {
            let error = ensure_portable(&program, target).unwrap_err().to_string();
            assert!(error.contains(format), "{error}");
        }
    }

    #[test]
    fn only_libraries_that_every_windows_has_may_be_loaded() {
        assert!(is_of_windows("KERNEL32.dll"));
        assert!(is_of_windows("api-ms-win-crt-heap-l1-1-0.dll"));
        assert!(!is_of_windows("libunwind.dll"));
        assert!(!is_of_windows("bcrypt-of-others.dll"));
    }
}
