//! The files of a pod's volumes, as a kubelet would write them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, KeyToPath, PodSpec, Secret};
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::{Api, Client};

/// Writes them into a folder; returns each path of the container with the folder that stands for it.
pub async fn mount(admin: &Client, pod: &PodSpec, folder: &Path) -> Vec<(String, String)> {
    let mounts = pod.containers[0].volume_mounts.iter().flatten();
    let mut mounted = Vec::new();
    for mount in mounts {
        let mut volumes = pod.volumes.iter().flatten();
        let volume = volumes.find(|volume| volume.name == mount.name);
        let volume = volume.expect("what is mounted is a volume");
        let (contents, items) = if let Some(source) = &volume.secret {
            let secrets: Api<Secret> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
            let name = source.secret_name.as_deref().unwrap();
            let data = secrets.get(name).await.unwrap().data.unwrap();
            let data = data.into_iter().map(|(key, value)| (key, value.0));
            (data.collect(), &source.items)
        } else if let Some(source) = &volume.config_map {
            let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
            let data = maps.get(&source.name).await.unwrap().data.unwrap();
            let data = data.into_iter().map(|(key, text)| (key, text.into_bytes()));
            (data.collect(), &source.items)
        } else {
            panic!("no test needs such a volume: {volume:?}")
        };
        let here = folder.join(&mount.name);
        write(&here, contents, items.as_deref().unwrap());
        mounted.push((mount.mount_path.clone(), here.display().to_string()));
    }
    mounted
}

fn write(folder: &Path, contents: BTreeMap<String, Vec<u8>>, items: &[KeyToPath]) {
    fs::create_dir_all(folder).unwrap();
    for item in items {
        fs::write(folder.join(&item.path), &contents[&item.key]).unwrap();
    }
}
