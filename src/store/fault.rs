//! What a store's answer means, in words of our own: the answers themselves may show credentials and signatures.

use std::error::Error as StdError;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

use super::Fault;
use crate::error::OptionName;

/// What it means that a request failed; `root` is the bucket's address.
pub(super) fn fault_of(error: &Error, root: &str) -> Fault {
    let said = chain(error);
    let code = code(&said).unwrap_or_default();
    let refused = |problem: &str| {
        let code = if code.is_empty() { String::new() } else { format!(" ({code})") };
        Fault::Refused(format!("{problem}{code}"))
    };
    match code.as_str() {
        "NoSuchBucket" | "ContainerNotFound" => {
            return Fault::NoBucket(format!("there is no bucket `{root}` ({code})"));
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            return refused("the credentials have expired: get new ones");
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "AuthenticationFailed" => {
            return refused("the store does not accept the credentials");
        }
        "RequestTimeTooSkewed" => return refused("the clock of this machine is wrong"),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return refused(&other_region());
        }
        _ => {}
    }
    match error {
        Error::NotFound { .. } => Fault::Missing("nothing in the store has this name".to_owned()),
        Error::Precondition { .. } | Error::NotModified { .. } | Error::AlreadyExists { .. } => Fault::Changed,
        Error::PermissionDenied { .. } => forbidden(&refused),
        Error::Unauthenticated { .. } => {
            refused("the store asks for credentials, or does not accept those that were given")
        }
        Error::InvalidPath { .. } => {
            refused("a name in the store has an empty part, `.` or `..` between slashes, which is not read")
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => refused("the server cannot do this"),
        _ => other(error, &said, &refused),
    }
}

/// Whether a store refused without saying why.
pub(super) fn lacks_reason(error: &Error) -> bool {
    let said = chain(error);
    let is_refused = matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. })
        || status(&said).is_some_and(|status| status.starts_with('4'));
    is_refused && code(&said).is_none()
}

fn forbidden(refused: &dyn Fn(&str) -> Fault) -> Fault {
    match refused("the store does not permit it: the credentials lack the right or are wrong, or there are none") {
        Fault::Refused(problem) => Fault::Forbidden(problem),
        fault => fault,
    }
}

fn other_region() -> String {
    let option = OptionName::StoreOptions.set_to("aws_region=…");
    format!("the bucket is in another region or at another endpoint: set AWS_REGION, or `{option}`")
}

/// What it means where the kind of error does not say it.
fn other(error: &Error, said: &str, refused: &dyn Fn(&str) -> Fault) -> Fault {
    if MACHINES.iter().any(|machine| said.contains(machine)) {
        return Fault::Refused(no_credentials());
    }
    if said.contains("Received redirect without LOCATION") {
        return refused(&other_region());
    }
    if said.contains("non-partial response when range requested") || said.contains("Content-Range header not present") {
        return refused(
            "the server does not answer requests for parts of a file; copy the file to a disk, or to an object store",
        );
    }
    if said.contains("Content-Length") || said.contains("Last-Modified") {
        return refused("the server does not say how long the file is, or when it was written");
    }
    if let Some(status) = status(said) {
        return match status.as_bytes().first() {
            Some(b'5') => {
                refused(&format!("the server could not answer, though asked again and again: status {status}"))
            }
            Some(b'3') => refused(&other_region()),
            _ if status == "403" => forbidden(&refused),
            _ if status == "429" => refused("the server is asked too often: status 429"),
            _ => refused(&format!("the server refused: status {status}")),
        };
    }
    if let Some(http) = sources(error).find_map(|error| error.downcast_ref::<HttpError>()) {
        let is_broken =
            matches!(http.kind(), HttpErrorKind::Interrupted | HttpErrorKind::Request | HttpErrorKind::Decode);
        let problem = match http.kind() {
            HttpErrorKind::Connect => "no connection to the server",
            HttpErrorKind::Timeout => "the server did not answer in time",
            HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection broke again and again",
            HttpErrorKind::Decode => "the server's answer cannot be understood",
            _ => "the request failed",
        };
        // What the system says holds no address.
        let system = sources(http)
            .filter_map(|error| error.downcast_ref::<std::io::Error>())
            .filter(|error| error.raw_os_error().is_some());
        let problem = system.last().map_or_else(|| problem.to_owned(), |system| format!("{problem}: {system}"));
        return if is_broken { Fault::Broken(problem) } else { refused(&problem) };
    }
    refused("the request failed")
}

/// Where machines of clouds are asked for credentials of their own.
const MACHINES: [&str; 4] = ["169.254.169.254", "169.254.170.2", "metadata.google.internal", "instance metadata"];

fn no_credentials() -> String {
    let (option, public) = (OptionName::StoreOptions, OptionName::StoreOptions.set_to("skip_signature=true"));
    format!(
        "no credentials: the environment, the profile and the machine have none; set them there or as `{option}`, or for public \
         data say `{public}`"
    )
}

/// An error and what it came from.
fn sources<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// An error and what it came from, for a look only.
fn chain(error: &Error) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The store's own word for what is wrong: letters only, so that it is none of the values that an answer may hold.
fn code(said: &str) -> Option<String> {
    let starts = ["<Code>", "\"reason\": \"", "\"reason\":\"", "\"code\":\""];
    starts.iter().find_map(|start| {
        let (_, rest) = said.split_once(start)?;
        let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(64).collect();
        word.bytes().any(|byte| byte.is_ascii_alphabetic()).then_some(word)
    })
}

/// The status of the server's answer.
fn status(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("status code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (digits.len() == 3).then_some(digits)
}
