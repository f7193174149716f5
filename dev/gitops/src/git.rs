//! A Git server with the repositories of the run, which serves them over HTTP by `git http-backend`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// The largest request of a client.
const LARGEST: usize = 16 << 20;

/// Repositories, each with a working copy.
pub struct GitServer {
    folder: TempDir,
    origin: String,
    server: JoinHandle<()>,
}

impl GitServer {
    /// Starts the server.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder for Git")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let root = folder.path().join("bare");
        std::fs::create_dir(&root)?;
        let router = Router::new().fallback(answer).with_state(root);
        let server = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            folder,
            origin,
            server,
        })
    }

    /// The address of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("{}/{repository}.git", self.origin)
    }

    /// The working copy of a repository.
    pub fn copy(&self, repository: &str) -> PathBuf {
        self.folder.path().join("copies").join(repository)
    }

    /// Creates a repository with a copy of this folder in it, under this name.
    pub async fn create(&self, repository: &str, contents: &[(&Path, &str)]) -> Result<()> {
        let bare = self.folder.path().join("bare");
        let bare = bare.join(format!("{repository}.git"));
        let copy = self.copy(repository);
        std::fs::create_dir_all(&copy)?;
        let path = |path: &Path| path.display().to_string();
        let quiet = ["init", "--quiet", "--initial-branch=main"];
        git(&copy, &[&quiet[..], &["--bare", &path(&bare)]].concat()).await?;
        git(&copy, &quiet).await?;
        git(&copy, &["remote", "add", "origin", &path(&bare)]).await?;
        for (folder, name) in contents {
            copy_folder(folder, &copy.join(name))?;
        }
        self.commit(repository, "First").await?;
        Ok(())
    }

    /// Changes a text in a file of a repository. Fails if the file does not have the text.
    pub fn edit(&self, repository: &str, file: &str, old: &str, new: &str) -> Result<()> {
        let path = self.copy(repository).join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        ensure!(text.contains(old), "{file} does not have the text {old:?}");
        std::fs::write(&path, text.replace(old, new))?;
        Ok(())
    }

    /// Commits and publishes what has changed in a working copy; returns the commit.
    pub async fn commit(&self, repository: &str, message: &str) -> Result<String> {
        let copy = self.copy(repository);
        git(&copy, &["add", "--all"]).await?;
        git(&copy, &["commit", "--quiet", "--message", message]).await?;
        git(&copy, &["push", "--quiet", "origin", "main"]).await?;
        let commit = git(&copy, &["rev-parse", "HEAD"]).await?;
        Ok(commit.trim().to_owned())
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Runs git without its user's settings.
async fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let identity = ["-c", "user.name=platform", "-c", "user.email=p@example.com"];
    let output = Command::new("git")
        .args(identity)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .await
        .context("cannot run git; install it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {arguments:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let entries = std::fs::read_dir(from);
    for entry in entries.with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}

/// Answers one request by the program that comes with git (CGI, RFC 3875).
async fn answer(State(root): State<PathBuf>, request: Request) -> Response<Body> {
    match backend(&root, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = Response::new(Body::from(format!("{error:#}")));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

async fn backend(root: &Path, request: Request) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST).await?;
    let header = |name: &str| text_of(&parts.headers, name);
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = backend.stdin.take().context("git has no input")?;
    let sending = tokio::spawn(async move { input.write_all(&body).await });
    let output = backend.wait_with_output().await?.stdout;
    // A program that has read enough may close its input.
    let _ = sending.await?;
    let end = output.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.context("git http-backend sent no headers")?;
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").context("a header without a value")?;
        response = match name {
            "Status" => response.status(value.get(..3).unwrap_or("500")),
            _ => response.header(name, value),
        };
    }
    Ok(response.body(Body::from(output[end + 4..].to_vec()))?)
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}
