//! docs/quick-start.md works as it stands for `kubernetes-admin`, the only user of a new kind cluster. The commands that other pages
//! show to administrators are run in the same cluster.

use std::path::Path;
use std::time::Duration;

use keyloan::api::AccessGrant;
use keyloan_book::{Block, Page};
use keyloan_cluster::{ControlPlane, Helm, Options, apply_yaml, wait_until};
use kube::Api;
use kube::api::ListParams;

use super::program::has_been_looked_at;
use super::shell::{Shell, compare, kubeconfig_of};
use crate::world::{World, simulator};

const QUICK_START: &str = "docs/quick-start.md";

/// Pages with commands for an installation like that of the quick start.
const LATER: [&str; 5] = [
    "docs/alerts.md",
    "docs/identity.md",
    "docs/platforms.md",
    "docs/troubleshooting.md",
    "docs/backup-upgrade.md",
];

/// The namespace of a context that names none.
const NAMESPACE: &str = "default";

/// As kubeadm makes it, and so kind.
const CLUSTER_ADMINS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubeadm:cluster-admins"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "kubeadm:cluster-admins"}]
"#;

/// Commands, and what the page says they print.
struct Step {
    place: String,
    commands: String,
    printed: Option<String>,
}

pub async fn works_for_the_user_of_a_kind_cluster() {
    let helm = Helm::find().await.expect("helm");
    let cluster = ControlPlane::start(Options::default()).await;
    let cluster = cluster.expect("a control plane");
    let admin = cluster.client("admin").await.expect("a client");
    apply_yaml(&admin, CLUSTER_ADMINS).await.expect("applied");
    let groups = ["kubeadm:cluster-admins", "system:authenticated"];
    let me = kubeconfig_of(&cluster, "kubernetes-admin", &groups, NAMESPACE);
    let mut shell = Shell::new(&cluster, Some(&helm));
    shell.set("KEYLOAN_EMAIL", "you@example.com");
    until(
        &shell,
        me.path(),
        "kubectl auth can-i '*' '*' --all-namespaces",
    )
    .await;

    let mut steps = steps(QUICK_START);
    let charts = steps
        .iter()
        .position(|step| step.commands.contains("helm install keyloan "));
    let later = steps.split_off(charts.expect("the charts") + 1);
    for step in steps {
        run(&shell, me.path(), &step).await;
    }
    cluster.until_in_force().await.expect("policies");
    // No pod runs here: the operator is a part of this process.
    let mut world = World::in_cluster(cluster, simulator()).await;
    world.restart_operator().await;
    let token = world.control.token("lender").await.expect("a token");
    shell.set("OP_TOKEN", &token);
    for step in later {
        if step.commands.contains("kubectl --namespace keyloan wait") {
            // Kubectl gives up after two minutes, and so does a reader.
            world.until_integration("prod", "True").await;
            world.until_flow_is_known("mine").await;
        }
        run(&shell, me.path(), &step).await;
        if step.commands.contains("create rolebinding") {
            let may = "kubectl auth can-i create accessdecisions --as bob@example.com --as-group approvers";
            until(&shell, me.path(), may).await;
            world.until_flow_is_known("approved").await;
        }
        until_looked_at(&world).await;
    }
    for page in LATER {
        for step in self::steps(page) {
            run(&shell, me.path(), &step).await;
        }
    }
}

/// The blocks of commands of a page that are not marked, each with the output below it.
fn steps(path: &str) -> Vec<Step> {
    let page = Page::read(Path::new(env!("CARGO_MANIFEST_DIR")), path).expect("a page");
    let blocks = page.blocks();
    let printed = |at: usize| blocks.get(at + 1).filter(|next| next.language == "text");
    let is_run = |(_, block): &(usize, &Block)| block.language == "sh" && block.not_run.is_none();
    let step = |(at, block): (usize, &Block)| Step {
        place: format!("{path}:{}", block.line),
        commands: block.text.clone(),
        printed: printed(at).map(|next| next.text.clone()),
    };
    let steps: Vec<_> = blocks.iter().enumerate().filter(is_run).map(step).collect();
    assert!(!steps.is_empty(), "{path} has commands to run");
    steps
}

async fn run(shell: &Shell, me: &Path, step: &Step) {
    let ran = shell.run(me, &step.commands).await;
    match &step.printed {
        Some(printed) => compare(&step.place, printed, &ran),
        None => assert_eq!(ran.code, 0, "{}:\n{}\n{}", step.place, ran.out, ran.err),
    }
}

/// A reader is slower than the operator.
async fn until_looked_at(world: &World) {
    let grants: Api<AccessGrant> = Api::namespaced(world.admin.clone(), NAMESPACE);
    let all = grants.list(&ListParams::default()).await;
    for grant in all.expect("readable") {
        world.until(&grant, has_been_looked_at).await;
    }
}

/// The API server sees a binding a moment after it was made.
async fn until(shell: &Shell, me: &Path, question: &str) {
    let answered = async || (shell.run(me, question).await.code == 0).then_some(());
    let waited = wait_until("a right", Duration::from_secs(60), answered).await;
    waited.unwrap_or_else(|_| panic!("no: {question}"));
}
