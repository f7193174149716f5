//! Finding the cluster: by the kubeconfigs that kubectl would read, and none that is broken is passed over in silence.

use std::env::join_paths;

use super::program::{ended, keyloan, with_kubeconfig};
use crate::world::{TEAM, World};

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

/// The cluster is on the loopback, where kubectl asks no proxy, in whatever form one is named.
pub async fn proxies_are_taken_as_kubectl_takes_them(world: &World) {
    let line = ["list", "-n", TEAM];
    for (name, value) in [
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("https_proxy", "127.0.0.1:9"),
        ("HTTPS_PROXY", "user:s3cret@127.0.0.1:9"),
        ("HTTPS_PROXY", "socks5://user:s3cret@127.0.0.1:9"),
        (
            "NO_PROXY",
            "192.168.0.0/255.255.0.0,<local>,/var/run/docker.sock",
        ),
        ("NO_PROXY", ",localhost 127.0.0.1"),
    ] {
        let mut command = keyloan(world, "alice", &line);
        let running = command.env(name, value).spawn().expect("the program");
        ended(running, &line).await.done();
    }
    // Elsewhere the proxy is asked, and no message shows its password.
    let elsewhere = ["list", "--server=https://api.example.com:6443"];
    for (value, says) in [
        (
            "ftp://user:s3cret@127.0.0.1:9",
            "the proxy from HTTPS_PROXY",
        ),
        ("http://user:s3cret@127.0.0.1:9", "unavailable"),
        ("socks5://user:s3cret@127.0.0.1:9", "unavailable"),
    ] {
        let mut command = keyloan(world, "alice", &elsewhere);
        let running = command
            .env("HTTPS_PROXY", value)
            .spawn()
            .expect("the program");
        let told = ended(running, &elsewhere).await.failed(1);
        assert!(told.contains(says), "{value}: {told}");
        assert!(!told.contains("s3cret"), "{value}: {told}");
    }
}

/// An administrator sees what alice sees, as by kubectl.
pub async fn somebody_acts_as_another_as_with_kubectl(world: &World) {
    let line = ["list", "-n", TEAM, "-o", "name", "--as=alice@example.com"];
    let as_alice = [
        &line[..],
        &["--as-group=engineering", "--as-group=system:authenticated"],
    ]
    .concat();
    let running = keyloan(world, "admin", &as_alice)
        .spawn()
        .expect("the program");
    let listed = ended(running, &as_alice).await.done();
    assert!(
        listed.contains("accessgrant.keyloan.dev/mine\n"),
        "{listed}"
    );
    let line = ["list", "--as-group=engineering"];
    let running = keyloan(world, "admin", &line).spawn().expect("the program");
    let told = ended(running, &line).await.failed(2);
    assert!(told.contains("pass --as, too"), "{told}");
    let line = ["list", "-n", TEAM, "--token=nobody"];
    let running = keyloan(world, "alice", &line).spawn().expect("the program");
    let told = ended(running, &line).await;
    assert!(!told.err.contains("nobody"), "{told:?}");
}
