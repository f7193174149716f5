//! Builds [programs](crate::go_programs) from Go modules, whose checksums are pinned in
//! `build/*/go.sum`.
//!
//! Go itself verifies each module that it downloads against that file. The first build compiles
//! some 2,600 packages and leaves about 4 GB in Go's own build cache.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::cache::{self, CacheError};
use crate::go_programs::{
    ARGOCD_MODULE, ARGOCD_VERSION, HELM_MODULE, HELM_VERSION, KUBERNETES, KUBERNETES_VERSION,
    Module, OLDEST_KUBERNETES, OLDEST_KUBERNETES_VERSION, PROMTOOL_MODULE, Program,
};
use crate::go_toolchain::{self, GoError};
use crate::progress;

/// The number of lines of a failed build that are shown.
const SHOWN: usize = 20;

/// Why the programs could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Go is not available.
    #[error(transparent)]
    NoGo(#[from] GoError),
    /// Go could not be started.
    #[error("cannot run `go`: {0}")]
    Run(io::Error),
    /// The build failed.
    #[error(
        "building {program} failed; the end of the output of `go build`:\n{output}\nif modules \
         could not be downloaded, set GOPROXY to a Go module proxy that this machine reaches"
    )]
    Failed {
        /// The program that was built.
        program: &'static str,
        /// The end of the output.
        output: String,
    },
    /// The cache folder could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Builds programs into `into`; `work` is a folder for the modules, which the caller removes.
pub(crate) async fn build(
    work: &Path,
    into: &Path,
    title: &str,
    programs: &[&Program],
) -> Result<(), BuildError> {
    if programs.is_empty() {
        return Ok(());
    }
    progress::say(&format!("building {title}: this takes some minutes, once"));
    let compiler = go_toolchain::find().await?;
    for Program { module, .. } in programs {
        let folder = work.join(module.name);
        cache::write(&folder.join("go.mod"), module.go_mod.as_bytes())?;
        cache::write(&folder.join("go.sum"), module.go_sum.as_bytes())?;
        if let Some(main_go) = module.main_go {
            cache::write(&folder.join("main.go"), main_go.as_bytes())?;
        }
    }
    for (step, program) in programs.iter().enumerate() {
        let Program {
            name,
            module,
            package,
        } = **program;
        let label = format!("[{}/{}] {name}", step + 1, programs.len());
        let mut go = Command::new(&compiler);
        go.current_dir(work.join(module.name))
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            // A program for another platform would not run here.
            .env_remove("GOOS")
            .env_remove("GOARCH")
            .args(["build", "-v", "-mod=readonly", "-trimpath", "-tags"])
            .arg(build_tags(&module))
            .arg("-ldflags")
            .arg(linker_flags(&module))
            .arg("-o")
            .arg(into.join(name))
            .arg(package);
        run(go, name, &label).await?;
    }
    Ok(())
}

/// Kubernetes' description of its own API, as its module has it: all kinds with all their fields.
pub async fn kubernetes_swagger() -> Result<PathBuf, BuildError> {
    let folder = sources(&KUBERNETES, "k8s.io/kubernetes").await?;
    Ok(folder.join("api/openapi-spec/swagger.json"))
}

impl Program {
    /// The folder of the program's sources. Downloads them if Go does not have them.
    pub(crate) async fn sources(&self) -> Result<PathBuf, BuildError> {
        sources(&self.module, self.package.trim_end_matches("/cmd")).await
    }
}

/// The folder of a module at the version that another one pins.
async fn sources(pinning: &Module, module: &'static str) -> Result<PathBuf, BuildError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Download {
        dir: PathBuf,
    }
    let compiler = go_toolchain::find().await?;
    let work = tempfile::tempdir().map_err(BuildError::Run)?;
    cache::write(&work.path().join("go.mod"), pinning.go_mod.as_bytes())?;
    cache::write(&work.path().join("go.sum"), pinning.go_sum.as_bytes())?;
    let output = Command::new(&compiler)
        .current_dir(work.path())
        .env("GOWORK", "off")
        .args(["mod", "download", "-json", module])
        .output()
        .await
        .map_err(BuildError::Run)?;
    match serde_json::from_slice::<Download>(&output.stdout) {
        Ok(Download { dir }) if output.status.success() => Ok(dir),
        _ => Err(BuildError::Failed {
            program: module,
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

/// Promtool is built without the clouds in which Prometheus can look for targets: most of its
/// packages are for them.
fn build_tags(module: &Module) -> &'static str {
    match module.name == PROMTOOL_MODULE.name {
        true => "remove_all_sd",
        false => "",
    }
}

/// Flags for small programs that know their version; etcd has its version in its source.
fn linker_flags(module: &Module) -> String {
    if module.name == HELM_MODULE.name {
        return format!("-s -w -X helm.sh/helm/v4/internal/version.version={HELM_VERSION}");
    }
    if module.name == ARGOCD_MODULE.name {
        let version = ARGOCD_VERSION.trim_start_matches('v');
        return format!("-s -w -X github.com/argoproj/argo-cd/v3/common.version={version}");
    }
    let kubernetes = match module.name {
        name if name == KUBERNETES.name => KUBERNETES_VERSION,
        name if name == OLDEST_KUBERNETES.name => OLDEST_KUBERNETES_VERSION,
        _ => return "-s -w".to_owned(),
    };
    let version = "k8s.io/component-base/version";
    let mut numbers = kubernetes.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    format!(
        "-s -w -X {version}.gitVersion={kubernetes} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    )
}

/// Runs one `go build -v`, which prints each package that it compiles and each module that it
/// downloads.
async fn run(mut go: Command, program: &'static str, label: &str) -> Result<(), BuildError> {
    let started = Instant::now();
    let mut go = go
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(BuildError::Run)?;
    let mut seen = Seen::default();
    let line = progress::Line::new();
    let mut tick = tokio::time::interval(line.interval());
    if let Some(stderr) = go.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        loop {
            tokio::select! {
                _ = tick.tick() => line.update(&format!("{label}: {}", seen.state(started.elapsed()))),
                next = lines.next_line() => match next.map_err(BuildError::Run)? {
                    Some(text) => seen.take(text),
                    None => break,
                },
            }
        }
    }
    let status = go.wait().await.map_err(BuildError::Run)?;
    line.finish(&format!("{label}: {}", seen.state(started.elapsed())));
    if status.success() {
        return Ok(());
    }
    Err(BuildError::Failed {
        program,
        output: seen.tail.join("\n"),
    })
}

/// The output of a build so far.
#[derive(Default)]
struct Seen {
    modules: usize,
    packages: usize,
    tail: Vec<String>,
}

impl Seen {
    fn take(&mut self, line: String) {
        if line.starts_with("go: downloading ") {
            self.modules += 1;
        } else if !line.contains(' ') {
            self.packages += 1;
        }
        if self.tail.len() == SHOWN {
            self.tail.remove(0);
        }
        self.tail.push(line);
    }

    fn state(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs();
        let mut state = format!("{}:{:02} min", seconds / 60, seconds % 60);
        // Both counts are zero when Go's cache has everything; the time then goes into linking.
        for (count, what) in [
            (self.modules, "modules downloaded"),
            (self.packages, "packages compiled"),
        ] {
            if count > 0 {
                state += &format!(", {count} {what}");
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_downloads_from_packages() {
        let mut seen = Seen::default();
        seen.take("go: downloading k8s.io/api v0.37.2".into());
        seen.take("k8s.io/api/core/v1".into());
        seen.take("some complaint of the compiler".into());
        assert_eq!(
            seen.state(Duration::from_secs(65)),
            "1:05 min, 1 modules downloaded, 1 packages compiled"
        );
        assert_eq!(seen.tail.len(), 3);
    }

    #[tokio::test]
    async fn a_failed_build_shows_what_go_said() {
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo 'undefined: x' >&2; exit 1"]);
        let error = run(failing, "etcd", "etcd").await.unwrap_err().to_string();
        assert!(
            error.contains("undefined: x") && error.contains("etcd"),
            "{error}"
        );
    }
}
