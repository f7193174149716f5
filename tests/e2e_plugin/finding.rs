//! Finding the cluster: by the kubeconfigs that kubectl would read, and none that is broken is passed over in silence.

use std::env::join_paths;

use super::program::{ended, with_kubeconfig};
use super::world::{TEAM, World};

pub async fn kubeconfigs_are_read_as_kubectl_reads_them(world: &World) {
    let folder = tempfile::tempdir().expect("a folder");
    let (gone, broken) = (folder.path().join("gone"), folder.path().join("broken"));
    std::fs::write(&broken, "clusters: {{").expect("written");
    let alices = world.cluster.kubeconfig("alice");
    let line = ["list", "-n", TEAM, "-o", "name"];

    let some_missing = join_paths([&gone, &alices]).expect("a list");
    let listed = ended(with_kubeconfig(some_missing, &line), &line).await;
    let listed = listed.done();
    assert!(
        listed.contains("accessgrant.keyloan.dev/mine\n"),
        "{listed}"
    );

    let one_broken = join_paths([&alices, &broken]).expect("a list");
    let told = ended(with_kubeconfig(one_broken, &line), &line).await;
    let told = told.failed(1);
    let (what, why) = (broken.display(), "failed to parse");
    assert!(
        told.contains(&format!("cannot use the kubeconfig {what}: {why}")),
        "{told}"
    );

    let told = ended(with_kubeconfig(&gone, &line), &line).await.failed(1);
    let what = gone.display().to_string();
    assert!(
        told.contains(&what) && told.contains("No such file"),
        "{told}"
    );
}
