//! System packages: what is needed and why, whether it is here, and how it gets here.
//!
//! Nothing is started when every program is on the search path, so the usual run costs a few file look-ups. What is
//! missing is installed by apt-get where that exists: as root directly, else with sudo, else the person is told the
//! one line to run. Elsewhere the person is told the programs' names, and the build goes on.

use std::fs;
use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

use crate::process::{is_on_path, output, run, say};

/// What a package is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Compiling the programs.
    Build,
    /// Preparing and judging pictures and sound in the tests, and opening windows in them.
    Checks,
}

/// A package of the system, by its name in Debian and its descendants.
struct Package {
    name: &'static str,
    /// The package is as good as installed when all of these are on the search path, wherever they came from. A
    /// package without programs (a library) is asked for at dpkg.
    programs: &'static [&'static str],
    purpose: Purpose,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "build-essential",
        programs: &["cc", "c++", "make"],
        purpose: Purpose::Build,
        why: "compiles the H.264 and Opus codecs, SQLite and the cryptography",
    },
    Package {
        name: "cmake",
        programs: &["cmake"],
        purpose: Purpose::Build,
        why: "the Opus codec is configured by it",
    },
    Package {
        name: "nasm",
        programs: &["nasm"],
        purpose: Purpose::Build,
        why: "assembles the H.264 codec's fast paths; without them a picture takes several times as long",
    },
    Package {
        name: "libclang-dev",
        programs: &[],
        purpose: Purpose::Build,
        why: "reads the system's header of cameras (V4L2), from which bindings are made",
    },
    Package { name: "pkg-config", programs: &["pkg-config"], purpose: Purpose::Build, why: "finds system libraries" },
    Package {
        name: "libasound2-dev",
        programs: &[],
        purpose: Purpose::Build,
        why: "microphones and speakers where there is no sound server",
    },
    Package {
        name: "ffmpeg",
        programs: &["ffmpeg"],
        purpose: Purpose::Checks,
        why: "measures recorded pictures against what was sent",
    },
    Package {
        name: "python3-venv",
        programs: &["python3"],
        purpose: Purpose::Checks,
        why: "holds the library that compares sound",
    },
    Package { name: "espeak-ng", programs: &["espeak-ng"], purpose: Purpose::Checks, why: "speaks, for sound tests" },
    Package {
        name: "pulseaudio",
        programs: &["pulseaudio"],
        purpose: Purpose::Checks,
        why: "pretends to be microphones and speakers; tests start servers of their own",
    },
    Package {
        name: "pulseaudio-utils",
        programs: &["pactl", "paplay"],
        purpose: Purpose::Checks,
        why: "plugs and unplugs them, and speaks into them",
    },
    Package {
        name: "libasound2-plugins",
        programs: &[],
        purpose: Purpose::Checks,
        why: "leads from ALSA to them, for the tests of systems without a sound server",
    },
    Package {
        name: "xvfb",
        programs: &["Xvfb"],
        purpose: Purpose::Checks,
        why: "a screen that nobody sees, for the window's tests",
    },
    Package {
        name: "xdotool",
        programs: &["xdotool"],
        purpose: Purpose::Checks,
        why: "types into windows under test",
    },
    Package {
        name: "mesa-vulkan-drivers",
        programs: &[],
        purpose: Purpose::Checks,
        why: "draws the window on machines without a GPU",
    },
    Package {
        name: "libxkbcommon-x11-0",
        programs: &[],
        purpose: Purpose::Checks,
        why: "tells a window under X11 what the keys mean; every desktop has it",
    },
    Package {
        name: "libxcursor1",
        programs: &[],
        purpose: Purpose::Checks,
        why: "gives a window under X11 its pointer; every desktop has it",
    },
    Package {
        name: "libx11-xcb1",
        programs: &[],
        purpose: Purpose::Checks,
        why: "joins a window under X11 to the screen; every desktop has it",
    },
];

/// Sees to it that the packages for these purposes are installed, as far as that is possible here.
pub fn ensure(purposes: &[Purpose]) -> Result<(), String> {
    let missing = missing(purposes, &is_on_path, &dpkg_has);
    if missing.is_empty() {
        return Ok(());
    }
    if !is_on_path("apt-get") {
        say(&format!("this system has no apt-get; please install:\n{}", list(&missing)));
        say("going on without them: the build may fail");
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let Some(apt) = Apt::found() else {
        return Err(format!(
            "These system packages are missing, and only root may install them:\n{}\n\
             As root, run this, and then the same command again as before:\n  \
             apt-get update && apt-get install --no-install-recommends {}",
            list(&missing),
            names.join(" ")
        ));
    };
    say(&format!("installing system packages{}:\n{}", apt.how(), list(&missing)));
    apt.install(&names)
}

/// The packages for these purposes that are not here.
fn missing(
    purposes: &[Purpose],
    is_on_path: &dyn Fn(&str) -> bool,
    is_installed: &dyn Fn(&str) -> bool,
) -> Vec<&'static Package> {
    let is_here = |package: &Package| match package.programs {
        [] => is_installed(package.name),
        programs => programs.iter().all(|program| is_on_path(program)),
    };
    PACKAGES.iter().filter(|package| purposes.contains(&package.purpose) && !is_here(package)).collect()
}

fn dpkg_has(name: &str) -> bool {
    if !is_on_path("dpkg-query") {
        // Nothing can be asked here: the build tells.
        return true;
    }
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", name]);
    output(&mut query).is_ok_and(|status| status == "installed")
}

fn list(packages: &[&Package]) -> String {
    let lines: Vec<String> =
        packages.iter().map(|package| format!("  {:<16} {}", package.name, package.why)).collect();
    lines.join("\n")
}

/// How apt-get can be run with the rights it needs.
enum Apt {
    AsRoot,
    /// sudo, with the options it wants.
    WithSudo(&'static [&'static str]),
}

impl Apt {
    fn found() -> Option<Self> {
        if is_root() {
            return Some(Self::AsRoot);
        }
        if !is_on_path("sudo") {
            return None;
        }
        if output(Command::new("sudo").args(["-n", "true"]).stdin(Stdio::null())).is_ok() {
            return Some(Self::WithSudo(&["-n"]));
        }
        // sudo will ask for the password, which it can only where a person sits.
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self::WithSudo(&[]))
    }

    const fn how(&self) -> &'static str {
        match self {
            Self::AsRoot => "",
            Self::WithSudo(_) => " (with sudo)",
        }
    }

    fn install(&self, names: &[&str]) -> Result<(), String> {
        // A new machine has no package lists, and then even a dry run does not know the names.
        let known = output(Command::new("apt-get").args(["install", "--simulate"]).args(names)).is_ok();
        if !known {
            self.update()?;
        }
        let install = |when_failed| {
            let mut install = self.apt_get();
            install.args(["install", "--yes", "--no-install-recommends"]).args(names);
            run(&mut install, when_failed)
        };
        if known && install("").is_ok() {
            return Ok(());
        }
        if known {
            // Old lists name versions that the mirrors no longer have.
            self.update()?;
        }
        install("apt-get could not install the system packages; its message is above.")
    }

    fn update(&self) -> Result<(), String> {
        say("refreshing the list of system packages");
        let mut update = self.apt_get();
        update.args(["update", "--quiet"]);
        run(&mut update, "apt-get could not refresh its package lists; its message is above.")
    }

    /// An apt-get that asks nothing and waits for another one to end.
    fn apt_get(&self) -> Command {
        let mut command = match self {
            Self::AsRoot => Command::new("env"),
            Self::WithSudo(options) => {
                let mut sudo = Command::new("sudo");
                sudo.args(*options).arg("env");
                sudo
            }
        };
        // By `env`, because sudo passes no environment on.
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        // A machine that has just started is often installing its own updates.
        command.args(["--option", "DPkg::Lock::Timeout=120"]).stdin(Stdio::null());
        command
    }
}

fn is_root() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata("/proc/self").is_ok_and(|own_process| own_process.uid() == 0)
    }
    #[cfg(not(unix))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(packages: &[&Package]) -> Vec<&'static str> {
        packages.iter().map(|package| package.name).collect()
    }

    #[test]
    fn only_what_is_missing_and_wanted_is_asked_for() {
        let has_compiler = |program: &str| ["cc", "c++", "make"].contains(&program);
        let libraries = |name: &str| {
            let asked = PACKAGES.iter().any(|package| package.name == name && package.programs.is_empty());
            assert!(asked, "dpkg is only asked about packages without programs");
            !["libclang-dev", "libasound2-dev", "libxkbcommon-x11-0", "libx11-xcb1"].contains(&name)
        };
        assert_eq!(
            names(&missing(&[Purpose::Build], &has_compiler, &libraries)),
            ["cmake", "nasm", "libclang-dev", "pkg-config", "libasound2-dev"]
        );
        assert_eq!(
            names(&missing(&[Purpose::Checks], &has_compiler, &libraries)),
            [
                "ffmpeg",
                "python3-venv",
                "espeak-ng",
                "pulseaudio",
                "pulseaudio-utils",
                "xvfb",
                "xdotool",
                "libxkbcommon-x11-0",
                "libx11-xcb1"
            ]
        );
        assert!(missing(&[Purpose::Build, Purpose::Checks], &|_| true, &|_| true).is_empty());
    }

    #[test]
    fn half_a_package_is_missing() {
        let no_make = |program: &str| program != "make";
        assert_eq!(names(&missing(&[Purpose::Build], &no_make, &|_| true)), ["build-essential"]);
    }

    #[test]
    fn a_person_reads_why_each_package_is_wanted() {
        let packages: Vec<&Package> = PACKAGES.iter().collect();
        let text = list(&packages);
        assert_eq!(text.lines().count(), PACKAGES.len());
        assert!(text.lines().any(|line| line.starts_with("  nasm ") && line.contains("H.264")));
    }
}
