//! The sentences for people when there is no connection to 1Password: the obstacle, and the next
//! step.

use crate::network::{Hindrance, Unreached};

/// One sentence. The network's own explanation follows it.
pub(super) fn text(why: &Unreached) -> String {
    match why {
        Unreached::Host(by) => to_1password(*by).to_owned(),
        Unreached::Proxy(by) => to_the_proxy(*by).to_owned(),
        Unreached::ProxyCredentials { given: false } => {
            "the proxy requires a user and a password (407): set --proxy-credentials (chart value \
             egress.proxy.credentialsSecretRef)"
                .to_owned()
        }
        Unreached::ProxyCredentials { given: true } => {
            "the proxy does not accept the user and the password (407): put the right ones into \
             the Secret of the chart value egress.proxy.credentialsSecretRef, or wherever the \
             operator has them from"
                .to_owned()
        }
        Unreached::ProxyForbids => {
            "the proxy refuses connections to 1Password (403): allow 1Password's host in the \
             proxy's rules"
                .to_owned()
        }
        Unreached::ProxyFails(status) => format!(
            "the proxy cannot connect to 1Password ({status}): look into the proxy's log, and \
             check the token's sign-in address"
        ),
        Unreached::ProxyUnusable => "the proxy to 1Password cannot be used: correct the setting, \
             or set --proxy (chart value egress.proxy.url), which comes first"
            .to_owned(),
    }
}

fn to_1password(by: Hindrance) -> &'static str {
    match by {
        Hindrance::Name => {
            "the name of 1Password's host cannot be resolved: check the cluster's DNS, and whether \
             a NetworkPolicy lets the operator query it; if the cluster reaches the internet only \
             through a proxy, set --proxy (chart value egress.proxy.url)"
        }
        Hindrance::Refused => {
            "the connection to 1Password is refused: check firewalls and NetworkPolicies between \
             the operator and 1Password, and the token's sign-in address; if the cluster reaches \
             the internet only through a proxy, set --proxy (chart value egress.proxy.url)"
        }
        Hindrance::TimedOut => {
            "1Password's host does not answer: check firewalls and NetworkPolicies between the \
             operator and 1Password; if the cluster reaches the internet only through a proxy, set \
             --proxy (chart value egress.proxy.url)"
        }
        Hindrance::UnknownAuthority => {
            "the certificate presented for 1Password is signed by an authority that Keyloan does \
             not know: give Keyloan that authority's certificate with --ca-bundle (chart value \
             egress.caBundle), or exempt 1Password from the inspection of traffic"
        }
        Hindrance::InvalidCertificate => {
            "the certificate presented for 1Password is not valid: if a proxy inspects the \
             traffic, have its certificates corrected or exempt 1Password from it; otherwise check \
             the clock of the node and the token's sign-in address"
        }
        Hindrance::Other => {
            "the operator cannot connect to 1Password: check firewalls and NetworkPolicies between \
             the operator and 1Password"
        }
    }
}

fn to_the_proxy(by: Hindrance) -> &'static str {
    match by {
        Hindrance::Name => {
            "the name of the proxy to 1Password cannot be resolved: check the proxy's URL (chart \
             value egress.proxy.url), the cluster's DNS, and whether a NetworkPolicy lets the \
             operator query it"
        }
        Hindrance::Refused => {
            "the proxy to 1Password refuses connections: check the host and port in its URL (chart \
             value egress.proxy.url), and whether it runs"
        }
        Hindrance::TimedOut => {
            "the proxy to 1Password does not answer: check the host and port in its URL (chart \
             value egress.proxy.url), and firewalls and NetworkPolicies between the operator and \
             the proxy"
        }
        Hindrance::UnknownAuthority => {
            "the proxy's own certificate is signed by an authority that Keyloan does not know: give \
             Keyloan that authority's certificate with --ca-bundle (chart value egress.caBundle)"
        }
        Hindrance::InvalidCertificate => {
            "the proxy's own certificate is not valid: have it corrected, and check that the \
             proxy's URL (chart value egress.proxy.url) has the name that the certificate is for"
        }
        Hindrance::Other => {
            "the proxy to 1Password does not answer as a proxy: check the scheme, host and port in \
             its URL (chart value egress.proxy.url)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hindrance_has_a_sentence_that_says_what_to_do() {
        let hindrances = [
            Hindrance::Name,
            Hindrance::Refused,
            Hindrance::TimedOut,
            Hindrance::UnknownAuthority,
            Hindrance::InvalidCertificate,
            Hindrance::Other,
        ];
        let by_proxy = [
            Unreached::ProxyCredentials { given: false },
            Unreached::ProxyCredentials { given: true },
            Unreached::ProxyForbids,
            Unreached::ProxyFails(502),
            Unreached::ProxyUnusable,
        ];
        let all = hindrances.map(Unreached::Host).into_iter();
        let all = all.chain(hindrances.map(Unreached::Proxy)).chain(by_proxy);
        let texts: Vec<_> = all.map(|why| text(&why)).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }
}
