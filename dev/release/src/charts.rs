//! The packages of the charts. They name the address of the source repository, which the checkout
//! does not know.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use keyloan_artifact::{VERSION, time};
use keyloan_cluster::{Chart, Helm};

use crate::Release;

/// The name of a chart's package.
pub fn file_name(chart: Chart) -> String {
    format!("{}-{VERSION}.tgz", chart.name())
}

/// All packages by their names.
pub async fn packages(source: Option<&str>) -> Result<Release> {
    let helm = Helm::find().await?;
    let folder = tempfile::tempdir()?;
    let destination = folder.path().display().to_string();
    let seconds = time()?.as_second().unsigned_abs();
    // Helm takes the times of the files into the package.
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut packages = Release::new();
    for chart in Chart::ALL {
        let copy = folder.path().join(chart.name());
        copy_folder(&chart.folder(), &copy, source, time)
            .with_context(|| format!("cannot copy the chart {}", chart.name()))?;
        let copy = copy.display().to_string();
        helm.run(&["package", &copy, "--destination", &destination])
            .await?;
        let name = file_name(chart);
        let package = fs::read(folder.path().join(&name));
        let package = package.with_context(|| format!("helm did not make {name}"))?;
        packages.insert(name, package);
    }
    Ok(packages)
}

fn copy_folder(from: &Path, to: &Path, source: Option<&str>, time: SystemTime) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let path = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &path, None, time)?;
            continue;
        }
        let mut content = fs::read(entry.path())?;
        if let (Some(source), "Chart.yaml") = (source, &*entry.file_name().to_string_lossy()) {
            content.extend(format!("home: {source}\nsources:\n- {source}\n").into_bytes());
        }
        fs::write(&path, content)?;
        File::options()
            .write(true)
            .open(&path)?
            .set_modified(time)?;
    }
    Ok(())
}
