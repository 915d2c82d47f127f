//! Answers and errors, as the standard has them.

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::exchange::ExchangeError;
use crate::exchange::GivenObject;
use crate::exchange::ListedCollection;
use crate::exchange::ObjectPage;
use crate::model::reason;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::store::StoreError;
use crate::taxii::media;

/// When the first object of an answer was added.
const DATE_FIRST: HeaderName = HeaderName::from_static("x-taxii-date-added-first");
/// When the last object of an answer was added.
const DATE_LAST: HeaderName = HeaderName::from_static("x-taxii-date-added-last");
/// When to try again what cannot be answered now.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// An error as the standard has it (section 3.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    title: &'static str,
    /// Our reason: stable, for programs.
    code: &'static str,
    description: String,
    retry_after: Option<Duration>,
}

/// Beside an answer, for who is told: why it refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code(pub(super) &'static str);

/// Beside an answer, for who is told: that it has objects of a collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objects(pub(super) Uuid);

/// Beside an answer, for who is told: that it has so many objects that were asked for by their id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named(pub(super) usize);

#[derive(Serialize)]
struct WireFault<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    error_code: &'a str,
    http_status: String,
}

impl Fault {
    /// There is no such resource, or it is not for the caller.
    pub(super) fn missing() -> Self {
        let description = "there is nothing of that name, or you may not see it".to_owned();
        Self::new(StatusCode::NOT_FOUND, Reason::RecordNotFound.as_str(), description)
    }

    /// The client takes none of our media types.
    pub(super) fn not_acceptable() -> Self {
        let description = format!("answers are {}", media::TAXII);
        Self::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", description)
    }

    /// Nothing is written by this protocol.
    pub(super) fn read_only() -> Self {
        let description = "collections can be read only; records are published signed".to_owned();
        Self::new(StatusCode::FORBIDDEN, "READ_ONLY", description)
    }

    /// The resource has no such method.
    pub(super) fn method() -> Self {
        let description = "this resource can be read only".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", description)
    }

    /// The call took too long.
    pub(super) fn late() -> Self {
        let description = "the hub has too much to do; try again".to_owned();
        let code = Reason::Busy.as_str();
        let fault = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, description);
        Self { retry_after: Some(RETRY_DELAY), ..fault }
    }

    fn new(status: StatusCode, code: &'static str, description: String) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status, title, code, description, retry_after: None }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.reason.code() {
            reason::Code::InvalidArgument
            | reason::Code::FailedPrecondition
            | reason::Code::OutOfRange => StatusCode::BAD_REQUEST,
            reason::Code::NotFound => StatusCode::NOT_FOUND,
            reason::Code::AlreadyExists => StatusCode::CONFLICT,
            reason::Code::PermissionDenied => StatusCode::FORBIDDEN,
            reason::Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            reason::Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            reason::Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
            reason::Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        };
        // What is a page token elsewhere has the standard's name here.
        let field = if refusal.field == "page_token" { "next" } else { refusal.field };
        let description = match field {
            "" => refusal.message,
            field => format!("{field}: {}", refusal.message),
        };
        let passes = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        let delay = passes.contains(&status).then_some(RETRY_DELAY);
        let retry_after = refusal.retry_after.or(delay);
        Self { retry_after, ..Self::new(status, refusal.reason.as_str(), description) }
    }
}

impl From<ExchangeError> for Fault {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Refused(refusal) => refusal.into(),
            ExchangeError::Store(cause) => {
                let error: &(dyn std::error::Error + 'static) = &cause;
                tracing::error!(error, "a read failed");
                let damage = "the hub found damage on its disk; tell its operator";
                let passing = "the hub cannot read its disk at the moment";
                match cause {
                    StoreError::Corrupt { .. } | StoreError::Format { .. } => {
                        Refusal::new(Reason::StoreCorrupt, damage).into()
                    }
                    StoreError::Full { .. } | StoreError::InUse | StoreError::Io { .. } => {
                        Refusal::new(Reason::Busy, passing).into()
                    }
                }
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Self { status, title, code, description, retry_after } = self;
        let http_status = status.as_u16().to_string();
        let wire = WireFault { title, description: &description, error_code: code, http_status };
        let mut response = json(&wire);
        *response.status_mut() = status;
        response.extensions_mut().insert(Code(code));
        if let Some(delay) = retry_after {
            let seconds = delay.as_secs().max(1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An answer with this content.
pub(super) fn json(content: &impl Serialize) -> Response {
    // What is serialised has texts, numbers and truth values in it, and cannot fail.
    let body = serde_json::to_vec(content).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media::TAXII));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer with the dates of its first and last object.
fn dated(content: &impl Serialize, objects: &[GivenObject]) -> Response {
    let mut response = json(content);
    for (name, object) in [(DATE_FIRST, objects.first()), (DATE_LAST, objects.last())] {
        let date = object.map(|object| HeaderValue::try_from(object.date_added.to_string()));
        if let Some(Ok(date)) = date {
            response.headers_mut().insert(name, date);
        }
    }
    response
}

/// A list that may go on. What is empty is left out.
#[derive(Serialize)]
struct Paged<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: Option<Vec<T>>,
}

impl<'a, T> Paged<'a, T> {
    fn of(page: &'a ObjectPage) -> Self {
        let says = !page.objects.is_empty() || page.next.is_some();
        let more = says.then_some(page.next.is_some());
        Self { more, next: page.next.as_deref(), objects: None, versions: None }
    }
}

fn filled<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// The objects of a page (section 3.7).
pub(super) fn envelope(page: &ObjectPage) -> Response {
    let objects: Vec<&RawValue> = page.objects.iter().map(|object| &*object.json).collect();
    dated(&Paged { objects: filled(objects), ..Paged::of(page) }, &page.objects)
}

#[derive(Serialize)]
struct Manifest<'a> {
    id: &'a str,
    date_added: String,
    version: &'a str,
    media_type: &'a str,
}

impl<'a> From<&'a GivenObject> for Manifest<'a> {
    fn from(object: &'a GivenObject) -> Self {
        let GivenObject { id, date_added, version, json: _ } = object;
        Self { id, date_added: date_added.to_string(), version, media_type: media::STIX }
    }
}

/// What a page has, without the objects (section 5.3.1).
pub(super) fn manifest(page: &ObjectPage) -> Response {
    let objects: Vec<Manifest<'_>> = page.objects.iter().map(Manifest::from).collect();
    dated(&Paged { objects: filled(objects), ..Paged::of(page) }, &page.objects)
}

/// The versions on a page (section 5.8.1).
pub(super) fn versions(page: &ObjectPage) -> Response {
    let versions = page.objects.iter().map(|object| object.version.as_str()).collect();
    dated(&Paged { versions: filled(versions), ..Paged::of(page) }, &page.objects)
}

#[derive(Serialize)]
struct Collection<'a> {
    id: String,
    title: &'a str,
    description: &'a str,
    can_read: bool,
    can_write: bool,
    media_types: [&'a str; 1],
}

impl<'a> From<&'a ListedCollection> for Collection<'a> {
    fn from(listed: &'a ListedCollection) -> Self {
        let ListedCollection { id, title, description } = listed;
        Self {
            id: id.to_string(),
            title,
            description,
            can_read: true,
            can_write: false,
            media_types: [media::STIX],
        }
    }
}

/// One collection (section 5.2.1).
pub(super) fn collection(listed: &ListedCollection) -> Response {
    json(&Collection::from(listed))
}

/// Several (section 5.1.1).
pub(super) fn collections(listed: &[ListedCollection]) -> Response {
    #[derive(Serialize)]
    struct Collections<'a> {
        collections: Vec<Collection<'a>>,
    }
    json(&Collections { collections: listed.iter().map(Collection::from).collect() })
}
