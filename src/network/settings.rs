//! The settings of the operator's way out of the cluster, and the files that they name. Nothing
//! here shows a proxy's URL, user or password.

use std::path::{Path, PathBuf};
use std::{fs, io};

use http::HeaderValue;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::connector::basic;
use super::proxy::{Kinds, Proxies, ProxyError};

/// How connections leave the cluster. By default, as the environment says (`HTTPS_PROXY`,
/// `NO_PROXY`), and only authorities that this machine trusts are trusted.
#[derive(Clone, Debug, Default)]
pub struct NetworkSettings {
    /// The URL of an HTTP proxy, instead of the one of the environment.
    pub proxy: Option<SecretString>,
    /// The destinations that are reached without this proxy, in the form of `NO_PROXY`.
    pub no_proxy: Vec<String>,
    /// A folder with the files `username` and `password`, for a proxy whose URL has none.
    pub proxy_credentials: Option<PathBuf>,
    /// A file with certificates of authorities that are trusted besides those of this machine.
    pub ca_bundle: Option<PathBuf>,
}

/// Why there is no way out.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The user or the password cannot be read.
    #[error(
        "cannot read the proxy's user and password from {path}: {error}; --proxy-credentials \
         (chart value egress.proxy.credentialsSecretRef) must name a folder with the files username \
         and password", path = .path.display()
    )]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        error: io::Error,
    },
    /// A user or a password that no proxy can be told.
    #[error("cannot use the proxy's user and password from {0}: the user must not contain a colon")]
    User(String),
    /// The bundle cannot be read.
    #[error(
        "cannot read the CA bundle {path}: {error}; check --ca-bundle (chart value \
         egress.caBundle, which names a ConfigMap or Secret and its key)", path = .path.display()
    )]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        error: io::Error,
    },
    /// The bundle is no bundle.
    #[error(
        "cannot use the CA bundle {path}: {why}; it must contain certificates in PEM, which begin \
         with -----BEGIN CERTIFICATE-----", path = .path.display()
    )]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}; are the system's root certificates installed?")]
    Tls(#[from] rustls::Error),
}

/// The contents of the files.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Files {
    bundle: Vec<u8>,
    user: String,
    password: Zeroizing<String>,
}

impl NetworkSettings {
    /// The proxies, if all of them can be used. Those of the environment may also be meant for
    /// others, so they are judged when they are to be used.
    pub(super) fn proxies(&self) -> Result<Proxies, ProxyError> {
        let Some(proxy) = &self.proxy else {
            return Ok(Proxies::of_process());
        };
        let proxies = Proxies::one("--proxy", proxy.expose_secret(), &self.no_proxy);
        proxies.check(Kinds::Http)?;
        Ok(proxies)
    }

    /// Reads the files.
    pub(super) fn files(&self) -> Result<Files, NetworkError> {
        let mut files = Files::default();
        if let Some(path) = &self.ca_bundle {
            files.bundle = fs::read(path).map_err(|error| NetworkError::Bundle {
                path: path.clone(),
                error,
            })?;
        }
        if let Some(folder) = &self.proxy_credentials {
            files.user = line_in(&folder.join("username"))?.to_string();
            files.password = line_in(&folder.join("password"))?;
        }
        Ok(files)
    }

    /// The authorities in these files.
    pub(super) fn authorities(
        &self,
        files: &Files,
    ) -> Result<Vec<CertificateDer<'static>>, NetworkError> {
        let Some(path) = &self.ca_bundle else {
            return Ok(Vec::new());
        };
        let unusable = |why: String| NetworkError::Certificates {
            path: path.clone(),
            why,
        };
        let read: Result<Vec<_>, pem::Error> =
            CertificateDer::pem_slice_iter(&files.bundle).collect();
        let read = read.map_err(|error| unusable(error.to_string()))?;
        let all = read.len();
        let is_authority = |certificate: &CertificateDer<'static>| {
            RootCertStore::empty().add(certificate.clone()).is_ok()
        };
        let usable: Vec<_> = read.into_iter().filter(is_authority).collect();
        match usable.len() {
            0 if all == 0 => Err(unusable("it contains no certificate".to_owned())),
            0 => Err(unusable("no certificate in it is valid".to_owned())),
            some => {
                if some < all {
                    let path = path.display();
                    tracing::warn!(%path, ignored = all - some, "the CA bundle contains certificates that are not valid");
                }
                Ok(usable)
            }
        }
    }

    /// The user and the password in these files, as a proxy is told them.
    pub(super) fn credentials(&self, files: &Files) -> Result<Option<HeaderValue>, NetworkError> {
        let Some(folder) = &self.proxy_credentials else {
            return Ok(None);
        };
        let told = match files.user.contains(':') {
            true => None,
            false => basic(&files.user, &files.password),
        };
        match told {
            Some(told) => Ok(Some(told)),
            None => Err(NetworkError::User(folder.display().to_string())),
        }
    }
}

/// The text of a file, without the end of its line.
fn line_in(path: &Path) -> Result<Zeroizing<String>, NetworkError> {
    let text = fs::read_to_string(path).map_err(|error| NetworkError::Credentials {
        path: path.to_owned(),
        error,
    })?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const AUTHORITY: &str = include_str!("../../tests/fixtures/private-ca/ca.pem");
    /// A certificate in PEM whose content is none.
    const NONE: &str = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";

    fn with_bundle(text: &str) -> Result<usize, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let settings = NetworkSettings {
            ca_bundle: Some(file.path().to_owned()),
            ..NetworkSettings::default()
        };
        let files = settings.files().unwrap();
        match settings.authorities(&files) {
            Ok(found) => Ok(found.len()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[rstest]
    #[case::one(AUTHORITY.to_owned(), 1)]
    #[case::with_what_people_write_between(format!("# Corp\n{AUTHORITY}\n# again\n{AUTHORITY}"), 2)]
    #[case::beside_one_that_is_not_valid(format!("{NONE}{AUTHORITY}"), 1)]
    fn the_valid_certificates_of_a_bundle_are_authorities(
        #[case] bundle: String,
        #[case] count: usize,
    ) {
        assert_eq!(with_bundle(&bundle), Ok(count));
    }

    #[rstest]
    #[case::empty("", "it contains no certificate")]
    #[case::der("\u{30}\u{82}", "it contains no certificate")]
    #[case::not_valid(NONE, "no certificate in it is valid")]
    #[case::cut_off("-----BEGIN CERTIFICATE-----\naGVsbG8=\n", "section end")]
    fn a_bundle_that_is_none_is_refused(#[case] bundle: &str, #[case] why: &str) {
        let says = with_bundle(bundle).unwrap_err();
        assert!(says.contains(why), "{says}");
        assert!(says.contains("-----BEGIN CERTIFICATE-----"), "{says}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_what_to_check() {
        let bundle = NetworkSettings {
            ca_bundle: Some("/nowhere/ca.crt".into()),
            ..NetworkSettings::default()
        };
        let says = bundle.files().err().unwrap().to_string();
        assert!(says.contains("/nowhere/ca.crt"), "{says}");
        assert!(says.contains("egress.caBundle"), "{says}");
        let credentials = NetworkSettings {
            proxy_credentials: Some("/nowhere".into()),
            ..NetworkSettings::default()
        };
        let says = credentials.files().err().unwrap().to_string();
        assert!(says.contains("/nowhere/username"), "{says}");
        assert!(says.contains("egress.proxy.credentialsSecretRef"), "{says}");
    }

    fn credentials(user: &str, password: &str) -> Result<Option<HeaderValue>, NetworkError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("username"), user).unwrap();
        fs::write(folder.path().join("password"), password).unwrap();
        let settings = NetworkSettings {
            proxy_credentials: Some(folder.path().to_owned()),
            ..NetworkSettings::default()
        };
        settings.credentials(&settings.files().unwrap())
    }

    #[test]
    fn the_end_of_a_line_is_no_part_of_a_password() {
        assert_eq!(
            credentials("keyloan\n", "s3cret \r\n").unwrap(),
            basic("keyloan", "s3cret ")
        );
        let says = credentials("key:loan", "s3cret").unwrap_err().to_string();
        assert!(says.contains("colon") && !says.contains("s3cret"), "{says}");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_no_setting_is_shown() {
        let settings = NetworkSettings {
            proxy: Some("socks5://user:s3cret@proxy:1080".into()),
            ..NetworkSettings::default()
        };
        let says = settings.proxies().unwrap_err().to_string();
        assert!(
            says.contains("--proxy") && !says.contains("s3cret"),
            "{says}"
        );
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}
