//! The operator's pod as the chart describes it.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use oci_spec::image::ImageConfiguration;

use crate::layout::{ARGUMENTS, ENTRYPOINT};

/// The name of the pod.
const NAME: &str = "keyloan-0";

/// What the kubelet tells an engine.
pub struct Pod {
    /// The arguments of the image's program.
    pub arguments: Vec<String>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// The folder with the token of the ServiceAccount.
    pub service_account: PathBuf,
    /// Where the operator serves `/readyz`.
    pub health: String,
}

impl Pod {
    /// The pod of the chart's Deployment, for an image.
    ///
    /// The pod has a network of its own and this process has not, so the operator listens on other
    /// ports than in a cluster. All other arguments are the chart's.
    pub fn of(
        deployment: &Deployment,
        image: &ImageConfiguration,
        service_account: PathBuf,
        api_server: (&str, &str),
        [health, metrics]: [String; 2],
    ) -> Result<Self> {
        let pod = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        let pod = pod.context("the Deployment has no pod")?;
        let [container] = &pod.containers[..] else {
            anyhow::bail!("the pod has not exactly one container");
        };
        let security = container.security_context.as_ref();
        let is_read_only = security.and_then(|security| security.read_only_root_filesystem);
        ensure!(is_read_only == Some(true), "the chart lets the pod write");
        ensure!(
            container.command.is_none() && container.volume_mounts.is_none(),
            "the chart replaces the image's program or mounts something"
        );
        // The image names the program for those who run it without the chart.
        let config = image
            .config()
            .as_ref()
            .context("the image has no settings")?;
        let ours = |words: &Option<Vec<String>>, expected: &[&str]| {
            words.as_deref().is_some_and(|words| words == expected)
        };
        ensure!(
            ours(config.entrypoint(), &[ENTRYPOINT]) && ours(config.cmd(), &ARGUMENTS),
            "the image runs something else"
        );
        let arguments = container.args.iter().flatten();
        let arguments = arguments.map(|argument| match argument.split_once('=') {
            Some(("--listen", _)) => format!("--listen={health}"),
            Some(("--listen-metrics", _)) => format!("--listen-metrics={metrics}"),
            _ => argument.clone(),
        });
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut environment = vec![
            variable("KUBERNETES_SERVICE_HOST", api_server.0),
            variable("KUBERNETES_SERVICE_PORT", api_server.1),
        ];
        for of_image in config.env().iter().flatten() {
            let (name, value) = of_image
                .split_once('=')
                .context("a variable has no value")?;
            environment.push(variable(name, value));
        }
        for of_chart in container.env.iter().flatten() {
            // The chart takes one from the pod itself: its name.
            let value = of_chart.value.as_deref().unwrap_or(NAME);
            environment.push(variable(&of_chart.name, value));
        }
        Ok(Self {
            arguments: arguments.collect(),
            environment,
            service_account,
            health,
        })
    }
}
