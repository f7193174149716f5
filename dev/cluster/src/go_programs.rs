//! The programs that are built from Go modules, with their versions.

/// The version of Kubernetes; `build/kubernetes/go.mod` says the same.
pub(crate) const KUBERNETES_VERSION: &str = "v1.37.2";
/// A patch of the oldest version of Kubernetes that the charts admit; `build/kubernetes-oldest/go.mod`
/// says the same.
pub(crate) const OLDEST_KUBERNETES_VERSION: &str = "v1.33.13";
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
/// The version of krew; `build/krew/go.mod` says the same.
pub(crate) const KREW_VERSION: &str = "v0.5.0";

/// The version of Argo CD; `build/argocd/go.mod` says the same.
pub(crate) const ARGOCD_VERSION: &str = "v3.2.11";
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

pub(crate) const ETCD: Module = module!("etcd");
pub(crate) const KUBERNETES: Module = module!("kubernetes");
pub(crate) const OLDEST_KUBERNETES: Module = module!("kubernetes-oldest");
pub(crate) const HELM_MODULE: Module = module!("helm");
pub(crate) const HELM_DOCS_MODULE: Module = module!("helm-docs");
pub(crate) const KUBECONFORM_MODULE: Module = module!("kubeconform");
pub(crate) const FORWARD_PROXY_MODULE: Module = Module {
    main_go: Some(FORWARD_PROXY_SOURCE),
    ..module!("forwardproxy")
};

/// The rules that the forward proxy has from its flags; all else is goproxy's.
pub(crate) const FORWARD_PROXY_SOURCE: &str = include_str!("../build/forwardproxy/main.go");
pub(crate) const PROMTOOL_MODULE: Module = module!("promtool");
pub(crate) const ARGOCD_MODULE: Module = module!("argocd");
pub(crate) const REGISTRY_MODULE: Module = Module {
    main_go: Some(include_str!("../build/registry/main.go")),
    ..module!("registry")
};
pub(crate) const CRANE_MODULE: Module = module!("crane");
pub(crate) const KREW_MODULE: Module = module!("krew");
pub(crate) const SOURCE_CONTROLLER: Module = module!("flux-source");
pub(crate) const KUSTOMIZE_CONTROLLER: Module = module!("flux-kustomize");
pub(crate) const HELM_CONTROLLER: Module = module!("flux-helm");

/// A program to build: its file name, the module that pins it, its package.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) module: Module,
    pub(crate) package: &'static str,
}

const fn program(name: &'static str, module: Module, package: &'static str) -> Program {
    Program {
        name,
        module,
        package,
    }
}

/// A control plane, and kubectl.
const fn control_plane(kubernetes: Module) -> [Program; 4] {
    [
        program("etcd", ETCD, "go.etcd.io/etcd/server/v3"),
        program(
            "kube-apiserver",
            kubernetes,
            "k8s.io/kubernetes/cmd/kube-apiserver",
        ),
        program(
            "kube-controller-manager",
            kubernetes,
            "k8s.io/kubernetes/cmd/kube-controller-manager",
        ),
        program("kubectl", kubernetes, "k8s.io/kubernetes/cmd/kubectl"),
    ]
}

/// The control plane on which everything is tested.
pub(crate) const CONTROL_PLANE: [Program; 4] = control_plane(KUBERNETES);
/// A control plane of the oldest Kubernetes.
pub(crate) const OLDEST_CONTROL_PLANE: [Program; 4] = control_plane(OLDEST_KUBERNETES);

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
/// Argo CD: one program for all its components.
pub(crate) const ARGOCD: [Program; 1] = [program(
    "argocd",
    ARGOCD_MODULE,
    "github.com/argoproj/argo-cd/v3/cmd",
)];
/// A registry of images and charts.
pub(crate) const REGISTRY: [Program; 1] = [program("registry", REGISTRY_MODULE, ".")];
/// The program that pushes images to a registry, and pulls them.
pub(crate) const CRANE: [Program; 1] = [program(
    "crane",
    CRANE_MODULE,
    "github.com/google/go-containerregistry/cmd/crane",
)];
/// The plugin manager of kubectl, under the name by which kubectl finds it, and the program that
/// checks manifests for its index.
pub(crate) const KREW: [Program; 2] = [
    program("kubectl-krew", KREW_MODULE, "sigs.k8s.io/krew/cmd/krew"),
    program(
        "validate-krew-manifest",
        KREW_MODULE,
        "sigs.k8s.io/krew/cmd/validate-krew-manifest",
    ),
];
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

/// A Go module that pins the programs to build.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// Its own code, if it has any.
    pub(crate) main_go: Option<&'static str>,
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
            &OLDEST_KUBERNETES,
            format!("k8s.io/kubernetes {OLDEST_KUBERNETES_VERSION}")
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
            &KREW_MODULE,
            format!("sigs.k8s.io/krew {KREW_VERSION}")
        ));
        assert!(pinned(
            &PROMTOOL_MODULE,
            format!("github.com/prometheus/prometheus {PROMETHEUS_VERSION}")
        ));
        assert!(pinned(
            &ARGOCD_MODULE,
            format!("github.com/argoproj/argo-cd/v3 {ARGOCD_VERSION}")
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
}
