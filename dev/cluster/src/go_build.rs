//! Builds the programs of the control plane, helm, helm-docs, kubeconform, promtool, a forward proxy, a
//! registry with its client, and Flux from Go modules, whose checksums are pinned in `build/*/go.sum`.
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
use crate::go_toolchain::{self, GoError};
use crate::progress;

/// The version of Kubernetes; `build/kubernetes/go.mod` says the same.
pub(crate) const KUBERNETES_VERSION: &str = "v1.37.2";
/// The version of etcd; `build/etcd/go.mod` says the same.
pub(crate) const ETCD_VERSION: &str = "v3.7.3";
/// The version of helm; `build/helm/go.mod` says the same.
pub(crate) const HELM_VERSION: &str = "v4.3.1";
/// The version of helm-docs; `build/helm-docs/go.mod` says the same.
pub(crate) const HELM_DOCS_VERSION: &str = "v1.14.2";
/// The version of kubeconform; `build/kubeconform/go.mod` says the same.
pub(crate) const KUBECONFORM_VERSION: &str = "v0.8.0";
/// The version of goproxy, of which the forward proxy consists; `build/forwardproxy/go.mod` says the
/// same.
pub(crate) const GOPROXY_VERSION: &str = "v1.9.3";
/// The version of Prometheus' module; `build/promtool/go.mod` says the same. v0.314 is Prometheus
/// 3.14.
pub(crate) const PROMETHEUS_VERSION: &str = "v0.314.0";
/// The version of the registry's module; `build/registry/go.mod` says the same.
pub(crate) const REGISTRY_VERSION: &str = "v3.1.2";
/// The version of crane's module; `build/crane/go.mod` says the same.
pub(crate) const CRANE_VERSION: &str = "v0.22.1";

/// The versions of Flux' controllers; `build/flux-*/go.mod` say the same.
pub(crate) const SOURCE_CONTROLLER_VERSION: &str = "v1.9.0";
pub(crate) const KUSTOMIZE_CONTROLLER_VERSION: &str = "v1.9.6";
pub(crate) const HELM_CONTROLLER_VERSION: &str = "v1.6.0";

/// The pinned module in a folder of `build/`.
macro_rules! module {
    ($name:literal) => {
        Module {
            name: $name,
            go_mod: include_str!(concat!("../build/", $name, "/go.mod")),
            go_sum: include_str!(concat!("../build/", $name, "/go.sum")),
            main_go: None,
        }
    };
}

const ETCD: Module = module!("etcd");
const KUBERNETES: Module = module!("kubernetes");
const HELM_MODULE: Module = module!("helm");
const HELM_DOCS_MODULE: Module = module!("helm-docs");
const KUBECONFORM_MODULE: Module = module!("kubeconform");
const FORWARD_PROXY_MODULE: Module = Module {
    main_go: Some(FORWARD_PROXY_SOURCE),
    ..module!("forwardproxy")
};

/// The rules that the forward proxy has from its flags; all else is goproxy's.
pub(crate) const FORWARD_PROXY_SOURCE: &str = include_str!("../build/forwardproxy/main.go");
const PROMTOOL_MODULE: Module = module!("promtool");
const REGISTRY_MODULE: Module = Module {
    main_go: Some(include_str!("../build/registry/main.go")),
    ..module!("registry")
};
const CRANE_MODULE: Module = module!("crane");
const SOURCE_CONTROLLER: Module = module!("flux-source");
const KUSTOMIZE_CONTROLLER: Module = module!("flux-kustomize");
const HELM_CONTROLLER: Module = module!("flux-helm");

/// A program to build: its file name, the module that pins it, its package.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    module: Module,
    package: &'static str,
}

const fn program(name: &'static str, module: Module, package: &'static str) -> Program {
    Program {
        name,
        module,
        package,
    }
}

/// A control plane, and kubectl.
pub(crate) const CONTROL_PLANE: [Program; 4] = [
    program("etcd", ETCD, "go.etcd.io/etcd/server/v3"),
    program(
        "kube-apiserver",
        KUBERNETES,
        "k8s.io/kubernetes/cmd/kube-apiserver",
    ),
    program(
        "kube-controller-manager",
        KUBERNETES,
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    program("kubectl", KUBERNETES, "k8s.io/kubernetes/cmd/kubectl"),
];

/// The program that installs charts.
pub(crate) const HELM: [Program; 1] = [program("helm", HELM_MODULE, "helm.sh/helm/v4/cmd/helm")];

/// The program that writes the page of a chart's values.
pub(crate) const HELM_DOCS: [Program; 1] = [program(
    "helm-docs",
    HELM_DOCS_MODULE,
    "github.com/norwoodj/helm-docs/cmd/helm-docs",
)];

/// The program that compares manifests with schemas.
pub(crate) const KUBECONFORM: [Program; 1] = [program(
    "kubeconform",
    KUBECONFORM_MODULE,
    "github.com/yannh/kubeconform/cmd/kubeconform",
)];

/// The proxy behind which tests put 1Password.
pub(crate) const FORWARD_PROXY: [Program; 1] = [program("forwardproxy", FORWARD_PROXY_MODULE, ".")];
/// The program that checks metrics, alerts and queries.
pub(crate) const PROMTOOL: [Program; 1] = [program(
    "promtool",
    PROMTOOL_MODULE,
    "github.com/prometheus/prometheus/cmd/promtool",
)];
/// A registry of images and charts.
pub(crate) const REGISTRY: [Program; 1] = [program("registry", REGISTRY_MODULE, ".")];
/// The program that pushes images to a registry, and pulls them.
pub(crate) const CRANE: [Program; 1] = [program(
    "crane",
    CRANE_MODULE,
    "github.com/google/go-containerregistry/cmd/crane",
)];
/// Flux' controllers.
pub(crate) const FLUX: [Program; 3] = [
    program(
        "source-controller",
        SOURCE_CONTROLLER,
        "github.com/fluxcd/source-controller",
    ),
    program(
        "kustomize-controller",
        KUSTOMIZE_CONTROLLER,
        "github.com/fluxcd/kustomize-controller",
    ),
    program(
        "helm-controller",
        HELM_CONTROLLER,
        "github.com/fluxcd/helm-controller",
    ),
];

/// The number of lines of a failed build that are shown.
const SHOWN: usize = 20;

/// A Go module that pins the programs to build.
#[derive(Clone, Copy)]
struct Module {
    name: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// Its own code, if it has any.
    main_go: Option<&'static str>,
}

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
        sources(&self.module, self.package).await
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
    if module.name != KUBERNETES.name {
        return "-s -w".to_owned();
    }
    let version = "k8s.io/component-base/version";
    let mut numbers = KUBERNETES_VERSION.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    format!(
        "-s -w -X {version}.gitVersion={KUBERNETES_VERSION} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
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
    fn the_versions_are_those_of_the_pinned_modules() {
        let pinned = |module: &Module, requirement: String| {
            module.go_mod.lines().any(|line| {
                line.trim_start_matches("require ")
                    .trim_end_matches("// indirect")
                    .trim()
                    == requirement
            })
        };
        assert!(pinned(
            &KUBERNETES,
            format!("k8s.io/kubernetes {KUBERNETES_VERSION}")
        ));
        assert!(pinned(
            &ETCD,
            format!("go.etcd.io/etcd/server/v3 {ETCD_VERSION}")
        ));
        assert!(pinned(
            &HELM_MODULE,
            format!("helm.sh/helm/v4 {HELM_VERSION}")
        ));
        assert!(pinned(
            &HELM_DOCS_MODULE,
            format!("github.com/norwoodj/helm-docs {HELM_DOCS_VERSION}")
        ));
        assert!(pinned(
            &KUBECONFORM_MODULE,
            format!("github.com/yannh/kubeconform {KUBECONFORM_VERSION}")
        ));
        assert!(pinned(
            &FORWARD_PROXY_MODULE,
            format!("github.com/elazarl/goproxy {GOPROXY_VERSION}")
        ));
        assert!(pinned(
            &REGISTRY_MODULE,
            format!("github.com/distribution/distribution/v3 {REGISTRY_VERSION}")
        ));
        assert!(pinned(
            &CRANE_MODULE,
            format!("github.com/google/go-containerregistry {CRANE_VERSION}")
        ));
        assert!(pinned(
            &PROMTOOL_MODULE,
            format!("github.com/prometheus/prometheus {PROMETHEUS_VERSION}")
        ));
        for (module, name, version) in [
            (&SOURCE_CONTROLLER, "source", SOURCE_CONTROLLER_VERSION),
            (
                &KUSTOMIZE_CONTROLLER,
                "kustomize",
                KUSTOMIZE_CONTROLLER_VERSION,
            ),
            (&HELM_CONTROLLER, "helm", HELM_CONTROLLER_VERSION),
        ] {
            let controller = format!("github.com/fluxcd/{name}-controller {version}");
            assert!(pinned(module, controller));
        }
    }

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
