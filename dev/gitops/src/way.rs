//! The ways to run: Flux, and Argo CD with each way in which it can apply, compare and track objects.

use anyhow::{Result, ensure};

/// A tool with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Flux, with Kustomizations and HelmReleases.
    Flux,
    /// Argo CD.
    ArgoCd(Setting),
}

/// Settings of Argo CD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// How it applies and compares.
    pub apply: Apply,
    /// How it marks its objects.
    pub tracking: Tracking,
}

/// How Argo CD applies and compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// `kubectl apply`.
    ClientSide,
    /// `kubectl apply --server-side`.
    ServerSide,
    /// The same, and comparisons by a dry run on the API server, which includes the API server's own
    /// changes: else a field with a default that leaves Git is no difference for Argo CD.
    ServerSideDiff,
}

/// How Argo CD marks the objects of an Application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// By the annotation `argocd.argoproj.io/tracking-id`.
    Annotation,
    /// By the label `app.kubernetes.io/instance`.
    Label,
}

impl Way {
    /// All ways, in the order of a run.
    pub fn all() -> Vec<Self> {
        let applies = [Apply::ClientSide, Apply::ServerSide, Apply::ServerSideDiff];
        let trackings = [Tracking::Annotation, Tracking::Label];
        let settings = applies.into_iter().flat_map(|apply| {
            trackings
                .into_iter()
                .map(move |tracking| Self::ArgoCd(Setting { apply, tracking }))
        });
        settings.chain([Self::Flux]).collect()
    }

    /// The ways whose names begin with one of these texts; all of them for no text.
    pub fn chosen(texts: &[String]) -> Result<Vec<Self>> {
        let all = Self::all();
        for text in texts {
            let names: Vec<_> = all.iter().map(|way| way.id()).collect();
            ensure!(
                names.iter().any(|name| name.starts_with(text)),
                "no way begins with {text:?}; there are {}",
                names.join(", ")
            );
        }
        let is_chosen =
            |way: &Self| texts.is_empty() || texts.iter().any(|t| way.id().starts_with(t));
        Ok(all.into_iter().filter(is_chosen).collect())
    }

    /// The name, for the command line.
    pub fn id(&self) -> String {
        match self {
            Self::Flux => "flux".into(),
            Self::ArgoCd(Setting { apply, tracking }) => {
                let apply = match apply {
                    Apply::ClientSide => "client-side",
                    Apply::ServerSide => "server-side",
                    Apply::ServerSideDiff => "server-side-diff",
                };
                let tracking = match tracking {
                    Tracking::Annotation => "annotation",
                    Tracking::Label => "label",
                };
                format!("argocd-{apply}-{tracking}")
            }
        }
    }
}

impl Setting {
    /// The name, for people.
    pub fn name(self) -> String {
        let apply = match self.apply {
            Apply::ClientSide => "client-side apply",
            Apply::ServerSide => "server-side apply",
            Apply::ServerSideDiff => "server-side diff",
        };
        let tracking = match self.tracking {
            Tracking::Annotation => "annotation",
            Tracking::Label => "label",
        };
        format!("Argo CD, {apply}, {tracking}")
    }

    /// The example in this way.
    pub fn of_example(self, text: &str) -> Result<String> {
        const OPTION: &str = "    - ServerSideApply=true\n";
        const LAST: &str = "      selfHeal: true\n";
        let text = match (self.apply, text.contains(OPTION)) {
            (Apply::ClientSide, _) => text.replace(OPTION, ""),
            (_, true) => text.to_owned(),
            (_, false) => {
                ensure!(text.ends_with(LAST), "the example has other options");
                format!("{text}    syncOptions:\n{OPTION}")
            }
        };
        if self.apply != Apply::ServerSideDiff {
            return Ok(text);
        }
        Ok(text.replace(
            "  namespace: argocd\n",
            "  namespace: argocd\n  annotations:\n    \
             argocd.argoproj.io/compare-options: ServerSideDiff=true,IncludeMutationWebhook=true\n",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_chosen_by_the_beginning_of_their_names() {
        let chosen = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            Way::chosen(&texts).map(|ways| ways.len())
        };
        assert_eq!(chosen(&[]).unwrap(), 7);
        assert_eq!(chosen(&["flux"]).unwrap(), 1);
        assert_eq!(chosen(&["argocd"]).unwrap(), 6);
        assert_eq!(chosen(&["argocd-server-side-diff", "flux"]).unwrap(), 3);
        let error = chosen(&["argo-cd"]).unwrap_err().to_string();
        assert!(error.contains("argocd-client-side-label"), "{error}");
    }
}
