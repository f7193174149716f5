//! `kubectl keyloan explain`: the state of a request or loan, its causes, and who can decide.

use kube::ResourceExt as _;
use serde_json::json;

use crate::cluster::person::Scope;
use crate::desk::explanation::explained;

use super::arguments::GrantName;
use super::failure::{Exit, Failure};
use super::output::{Structured, print_value, say};
use super::session::Session;

/// Explain the state of a request or loan: its conditions, the flows that were considered, who can
/// still decide, the decisions and the link.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    grant: GrantName,
    /// Print the grant and its decisions in this format.
    #[arg(long, short, value_name = "FORMAT")]
    output: Option<Structured>,
}

pub async fn run(session: &Session, arguments: &Arguments) -> Result<Exit, Failure> {
    let mut grant = session.grant(&arguments.grant.name).await?;
    let uid = grant.uid().unwrap_or_default();
    let scope = Scope::Namespace(session.namespace().to_owned());
    let about = format!("spec.grantUid={uid}");
    let decisions = session.decisions(&scope, &about).await?;
    match arguments.output {
        Some(format) => {
            grant.metadata.managed_fields = None;
            let both = json!({ "grant": grant, "decisions": decisions });
            print_value(&both, format)?;
        }
        None => {
            // The explanation is useful without the person's identity, too.
            let me = session.me().await.ok();
            say(explained(&grant, &decisions, me.as_ref(), session.now()))?;
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AccessDecision, AccessGrant, PersonKind, PrincipalName};
    use crate::desk::approvers::approval;
    use crate::desk::samples;
    use crate::plugin::output::lines;

    fn shown(grant: &AccessGrant, decisions: &[AccessDecision]) -> String {
        let me = samples::bob();
        lines(
            &explained(grant, decisions, Some(&me), samples::present()),
            None,
        )
        .join("\n")
    }

    #[test]
    fn a_request_that_waits_says_who_can_still_decide_and_which_decisions_counted() {
        let decisions = [samples::approval_by(samples::bob())];
        insta::assert_snapshot!(shown(&samples::half_approved(), &decisions));
    }

    #[test]
    fn who_is_named_in_another_spelling_reads_so() {
        let mut me = samples::erin();
        let grant = samples::half_approved();
        let approval = approval(&grant).unwrap();
        let named = approval
            .groups
            .iter()
            .flat_map(|group| &group.approvers)
            .find(|who| who.kind == PersonKind::Group);
        me.groups.push(PrincipalName(format!(
            "/{}",
            named.unwrap().name.to_uppercase()
        )));
        let lines = lines(&explained(&grant, &[], Some(&me), samples::present()), None);
        let below = lines.iter().skip_while(|line| *line != "You").skip(1);
        let you = below.take_while(|line| !line.is_empty());
        let you: Vec<_> = you.map(|line| line.trim_start()).collect();
        insta::assert_snapshot!(you.join("\n"));
    }

    #[test]
    fn a_loan_says_how_long_it_and_its_link_last() {
        insta::assert_snapshot!(shown(&samples::active(), &[]));
    }

    #[test]
    fn a_loan_that_is_over_says_until_when_a_link_may_still_open() {
        insta::assert_snapshot!(shown(&samples::ending(), &[]));
    }

    #[test]
    fn a_request_that_nobody_has_looked_at_says_so() {
        insta::assert_snapshot!(shown(&samples::new(), &[]));
    }

    #[test]
    fn nothing_of_what_people_write_looks_like_a_section_of_its_own() {
        let (grant, decisions) = samples::hostile();
        let explained = explained(
            &grant,
            &decisions,
            Some(&samples::bob()),
            samples::present(),
        );
        let lines = lines(&explained, Some(80));
        insta::assert_snapshot!(lines.join("\n"));
        let ours = [
            "Denied: ",
            "Request",
            "Conditions",
            "Flows",
            "Approvers",
            "You",
            "Decisions",
        ];
        for line in lines.iter().filter(|line| !line.starts_with(' ')) {
            let begins = line.is_empty() || ours.iter().any(|our| line.starts_with(our));
            assert!(begins, "{line}");
        }
    }
}
