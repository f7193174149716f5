//! An Application of Argo CD: what it shows, and what people have it do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::common::STEP;
use crate::controllers::ARGOCD;
use crate::objects::kinds;
use crate::site::Site;

/// The time limit for a synchronization. Argo CD sees a kind that the API server has not established
/// yet as Degraded, and then comes back to the synchronization after two minutes.
pub const SYNC: Duration = Duration::from_secs(300);

/// An Application.
#[derive(Clone, Copy)]
pub struct App<'a> {
    /// Where it is.
    pub site: &'a Site,
    /// Its name.
    pub name: &'static str,
}

impl App<'_> {
    /// The object.
    pub async fn get(self) -> Result<Value> {
        let admin = &self.site.admin;
        let found = admin.get(kinds::APPLICATION, ARGOCD, self.name).await?;
        found.with_context(|| format!("the Application {} is gone", self.name))
    }

    /// Waits until it is as it should be.
    pub async fn until(self, within: Duration, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let app = (ARGOCD, self.name);
        let admin = &self.site.admin;
        admin.until(kinds::APPLICATION, app, within, is).await
    }

    /// Waits until it is Synced and Healthy, and makes sure that nothing is warned of.
    pub async fn until_well(self) -> Result<Value> {
        let app = self.until(SYNC, is_well).await?;
        let conditions = &app["status"]["conditions"];
        ensure!(conditions.is_null(), "{} warns: {conditions}", self.name);
        Ok(app)
    }

    /// Waits until a commit is applied, whether the result is well or not.
    pub async fn until_applied(self, commit: &str) -> Result<Value> {
        let is_applied = |app: &Value| {
            let operation = &app["status"]["operationState"];
            operation["phase"] == "Succeeded" && is_at(&operation["syncResult"], commit)
        };
        self.until(SYNC, is_applied).await
    }

    /// Has Argo CD read Git and compare everything again; returns what it then shows.
    pub async fn refresh(self) -> Result<Value> {
        const ANNOTATION: &str = "argocd.argoproj.io/refresh";
        let app = (ARGOCD, self.name);
        let admin = &self.site.admin;
        admin
            .annotate(kinds::APPLICATION, app, ANNOTATION, "hard")
            .await?;
        // The result and the end of the annotation are one write.
        let done = |app: &Value| app["metadata"]["annotations"][ANNOTATION].is_null();
        admin.until(kinds::APPLICATION, app, STEP, done).await
    }

    /// Has Argo CD apply everything again, as `argocd app sync` does with `--force` and `--replace`.
    pub async fn sync(self, force: bool, replace: bool) -> Result<()> {
        // Times have whole seconds, so they do not tell two synchronizations apart.
        let mark = Timestamp::now().to_string();
        let app = self.get().await?;
        let options = app["spec"]["syncPolicy"]["syncOptions"].as_array();
        let mut options = options.cloned().unwrap_or_default();
        if replace {
            options.push(json!("Replace=true"));
        }
        let operation = json!({ "operation": {
            "initiatedBy": { "username": "platform" },
            "info": [{ "name": "mark", "value": mark }],
            "sync": { "syncOptions": options, "syncStrategy": { "apply": { "force": force } } },
        } });
        let admin = &self.site.admin;
        admin
            .patch(kinds::APPLICATION, ARGOCD, self.name, operation)
            .await?;
        let done = |app: &Value| {
            let state = &app["status"]["operationState"];
            state["operation"]["info"][0]["value"] == mark.as_str() && state["phase"] == "Succeeded"
        };
        self.until(SYNC, done).await?;
        Ok(())
    }

    /// Has Argo CD put back what somebody changes in the cluster, or not.
    pub async fn set_self_heal(self, on: bool) -> Result<()> {
        let change = json!({ "spec": { "syncPolicy": { "automated": { "selfHeal": on } } } });
        let admin = &self.site.admin;
        admin
            .patch(kinds::APPLICATION, ARGOCD, self.name, change)
            .await
    }

    /// When the last synchronization began and ended.
    pub async fn last_sync(self) -> Result<(String, String)> {
        let app = self.get().await?;
        let state = &app["status"]["operationState"];
        Ok((
            state["startedAt"].to_string(),
            state["finishedAt"].to_string(),
        ))
    }

    /// Deletes it with all that it has applied.
    pub async fn delete_with_objects(self) -> Result<()> {
        let admin = &self.site.admin;
        let finalizers =
            json!({ "metadata": { "finalizers": ["resources-finalizer.argocd.argoproj.io"] } });
        admin
            .patch(kinds::APPLICATION, ARGOCD, self.name, finalizers)
            .await?;
        admin
            .delete(kinds::APPLICATION, ARGOCD, self.name, SYNC)
            .await
    }
}

/// Its health.
pub fn health(app: &Value) -> &str {
    let health = app["status"]["health"]["status"].as_str();
    health.unwrap_or_default()
}

/// Whether it is Synced and Healthy.
pub fn is_well(app: &Value) -> bool {
    app["status"]["sync"]["status"] == "Synced" && health(app) == "Healthy"
}

/// Whether this member of a status is about a commit.
pub fn is_at(of: &Value, commit: &str) -> bool {
    match of["revisions"].as_array() {
        Some(all) if !all.is_empty() => all.iter().all(|at| *at == commit),
        _ => of["revision"] == commit,
    }
}

/// The number of its objects.
pub fn objects_of(app: &Value) -> usize {
    app["status"]["resources"].as_array().map_or(0, Vec::len)
}
