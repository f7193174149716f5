//! Installs the charts of the release into a private control plane by way of a real registry, and
//! runs the plugin of the release there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use keyloan_artifact::{Os, Target, VERSION, emulator};
use keyloan_cluster::{
    Chart, ControlPlane, Helm, INTEGRATION_NAMESPACE, Options, Registry, apply_yaml,
};
use tokio::process::Command;

use crate::charts;
use crate::say;

/// What the plugin is asked, and what has to be in its answer.
const QUESTIONS: [(&str, &[&str]); 2] = [
    ("version", &[VERSION, "keyloan.dev/v1alpha1", "installed"]),
    ("whoami", &["alice@example.com", "engineering"]),
];

/// Installs the charts and runs the programs for Linux.
pub async fn run(release: &Path, programs: &[(Target, PathBuf)]) -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let ran = on(&cluster, release, programs).await;
    cluster.shutdown().await;
    ran
}

async fn on(cluster: &ControlPlane, release: &Path, programs: &[(Target, PathBuf)]) -> Result<()> {
    let helm = Helm::find().await?;
    let registry = Registry::start(&cluster.dir().join("registry")).await?;
    let namespace = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": INTEGRATION_NAMESPACE },
    });
    let admin = cluster.client("admin").await?;
    apply_yaml(&admin, &namespace.to_string()).await?;
    for chart in Chart::ALL {
        let package = release.join(charts::file_name(chart));
        cluster
            .install_published(&helm, &registry, (chart, &package), &chart.values())
            .await?;
        say(format_args!("{} came from a registry", chart.name()));
    }
    let alice = cluster.kubeconfig("alice");
    for (target, program) in programs {
        if target.os() != Os::Linux {
            continue;
        }
        for (question, expected) in QUESTIONS {
            let answer = answer(*target, program, question, &alice).await?;
            for part in expected {
                ensure!(
                    answer.contains(part),
                    "{target}: `{question}` says nothing of {part}: {answer}"
                );
            }
        }
        say(format_args!("{target}: the program runs against a cluster"));
    }
    Ok(())
}

/// What the plugin answers to Alice. An error if it fails.
async fn answer(
    target: Target,
    program: &Path,
    question: &str,
    kubeconfig: &Path,
) -> Result<String> {
    let is_here = match cfg!(target_arch = "aarch64") {
        true => target == Target::LinuxArm64,
        false => target == Target::LinuxAmd64,
    };
    let mut command = match is_here {
        true => Command::new(program),
        false => {
            let mut emulated = Command::new(emulator()?);
            emulated.arg(program);
            emulated
        }
    };
    command.arg(question).arg("--kubeconfig").arg(kubeconfig);
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{target}: `{question}` ended with {}: {}",
        output.status,
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}
