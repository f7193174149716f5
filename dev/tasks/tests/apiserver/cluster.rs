//! `cargo xtask cluster` prints two kubeconfigs and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use keyloan_cluster::signal;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

async fn who_is(kubeconfig: &PathBuf) -> String {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    let reviews: Api<SelfSubjectReview> = Api::all(Client::try_from(config).unwrap());
    let review = SelfSubjectReview::default();
    let seen = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    seen.status.unwrap().user_info.unwrap().username.unwrap()
}

#[tokio::test]
async fn it_announces_an_admin_and_the_operator_and_ends_when_told_so() {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_keyloan-tasks"))
        .arg("cluster")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(xtask.stdout.take().unwrap()).lines();
    let mut path = |name: &str| -> PathBuf {
        let line = lines.next().unwrap().unwrap();
        line.strip_prefix(name).unwrap().into()
    };
    let (admin, operator) = (path("KUBECONFIG="), path("OPERATOR_KUBECONFIG="));
    assert_eq!(who_is(&admin).await, "admin");
    assert_eq!(
        who_is(&operator).await,
        "system:serviceaccount:keyloan-system:keyloan"
    );

    signal(xtask.id(), "TERM").unwrap();
    assert!(xtask.wait().unwrap().success());
    assert!(!admin.exists() && !operator.exists());
}
