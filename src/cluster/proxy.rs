//! Through which proxy the API server is reached: as kubectl would, by HTTPS_PROXY and NO_PROXY.
//!
//! kube (5.0) compares NO_PROXY with the proxy's own address instead of the cluster's, so a cluster that is exempt would not be reached.

use std::env;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::Config;

/// The proxy that the kubeconfig names, else the environment's, unless the cluster is exempt.
pub(super) fn of(config: &Config) -> Option<Uri> {
    let set = ["HTTPS_PROXY", "https_proxy"].into_iter().find_map(|name| {
        let value = env::var(name).ok()?;
        value.parse::<Uri>().ok()
    });
    let named = config
        .proxy_url
        .clone()
        .filter(|proxy| set.as_ref() != Some(proxy));
    named.or_else(|| {
        let intercept = Matcher::from_env().intercept(&config.cluster_url)?;
        // As it was set: with the credentials that it may hold.
        Some(set.unwrap_or_else(|| intercept.uri().clone()))
    })
}
