//! The resources, and what each answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use uuid::Uuid;

use crate::exchange::Hub;
use crate::exchange::ObjectPage;
use crate::exchange::ObjectsQuery;
use crate::exchange::Version;
use crate::taxii::answer;
use crate::taxii::answer::Fault;
use crate::taxii::answer::Named;
use crate::taxii::answer::Objects;
use crate::taxii::asked::Asked;
use crate::taxii::media;
use crate::taxii::query;
use crate::taxii::query::Matches;
use crate::taxii::query::Parsed;

/// The path of the one API root.
const ROOT: &str = "/exchange/";
/// Bytes of a body that is taken, as the standard wants it said: nothing is written here, and none is ever read.
const CONTENT_BYTES_MAX: u64 = 1024;

type Answer = Result<Response, Fault>;
type One = Result<Path<String>, PathRejection>;
type Two = Result<Path<(String, String)>, PathRejection>;

/// Every resource. All paths end with a slash.
pub(super) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/taxii2/", get(discovery))
        .route(ROOT, get(root))
        .route("/exchange/collections/", get(collections))
        .route("/exchange/collections/{collection}/", get(collection))
        .route("/exchange/collections/{collection}/manifest/", get(manifest))
        .route("/exchange/collections/{collection}/objects/", get(objects).post(written))
        .route("/exchange/collections/{collection}/objects/{object}/", get(object).delete(written))
        .route("/exchange/collections/{collection}/objects/{object}/versions/", get(versions))
        .fallback(missing)
        .method_not_allowed_fallback(method)
        .with_state(hub)
}

/// Unknown paths, `status/` among them: nothing is ever written, so that there is no state of it.
async fn missing(_asked: Asked) -> Fault {
    Fault::missing()
}

async fn method(_asked: Asked) -> Fault {
    Fault::method()
}

async fn discovery(asked: Asked) -> Response {
    #[derive(Serialize)]
    struct Discovery<'a> {
        title: &'a str,
        description: &'a str,
        default: &'a str,
        api_roots: [&'a str; 1],
    }
    answer::json(&Discovery {
        title: &asked.hub.exchange().name(),
        description: "Signed records of influence operations, as STIX 2.1",
        default: ROOT,
        api_roots: [ROOT],
    })
}

async fn root(asked: Asked) -> Response {
    #[derive(Serialize)]
    struct Root<'a> {
        title: &'a str,
        description: &'a str,
        versions: [&'a str; 1],
        max_content_length: u64,
    }
    answer::json(&Root {
        title: &asked.hub.exchange().name(),
        description: "What you may read of this exchange; nothing is written here",
        versions: [media::TAXII],
        max_content_length: CONTENT_BYTES_MAX,
    })
}

async fn collections(asked: Asked) -> Answer {
    let listed = asked.hub.collections(&asked.member).await?;
    Ok(answer::collections(&listed))
}

async fn collection(asked: Asked, path: One) -> Answer {
    let Path(id) = path.map_err(|_not_text| Fault::missing())?;
    let listed = asked.hub.collection(&asked.member, collection_id(&id)?).await?;
    Ok(answer::collection(&listed))
}

async fn objects(asked: Asked, path: One) -> Answer {
    let Path(id) = path.map_err(|_not_text| Fault::missing())?;
    let id = collection_id(&id)?;
    let mut response = answer::envelope(&page(&asked, id).await?);
    response.extensions_mut().insert(Objects(id));
    Ok(response)
}

async fn manifest(asked: Asked, path: One) -> Answer {
    let Path(id) = path.map_err(|_not_text| Fault::missing())?;
    let page = page(&asked, collection_id(&id)?).await?;
    let mut response = answer::manifest(&page);
    response.extensions_mut().insert(Named(page.objects.len()));
    Ok(response)
}

async fn object(asked: Asked, path: Two) -> Answer {
    let Parsed { objects, limit, next } = query::parse(&asked.query, Matches::OneObject)?;
    let page = page_of_one(&asked, path, objects, (limit, &next)).await?;
    let mut response = answer::envelope(&page);
    response.extensions_mut().insert(Named(page.objects.len()));
    Ok(response)
}

async fn versions(asked: Asked, path: Two) -> Answer {
    let Parsed { objects, limit, next } = query::parse(&asked.query, Matches::Versions)?;
    let objects = ObjectsQuery { versions: vec![Version::All], ..objects };
    let page = page_of_one(&asked, path, objects, (limit, &next)).await?;
    let mut response = answer::versions(&page);
    response.extensions_mut().insert(Named(page.objects.len()));
    Ok(response)
}

/// Refuses to write into a collection that can be seen, as `can_write` says; one that cannot is absent.
async fn written(
    asked: Asked,
    path: Result<Path<std::collections::HashMap<String, String>>, PathRejection>,
) -> Answer {
    let Path(path) = path.map_err(|_not_text| Fault::missing())?;
    let id = path.get("collection").map(String::as_str).unwrap_or_default();
    asked.hub.collection(&asked.member, collection_id(id)?).await?;
    Err(Fault::read_only())
}

async fn page(asked: &Asked, id: Uuid) -> Result<ObjectPage, Fault> {
    let Parsed { objects, limit, next } = query::parse(&asked.query, Matches::Everything)?;
    Ok(asked.hub.objects(&asked.member, id, objects, limit, &next).await?)
}

/// A page of the versions of one object. If there are none, and nothing else narrows the request, it is not there.
async fn page_of_one(
    asked: &Asked,
    path: Two,
    objects: ObjectsQuery,
    (limit, next): (usize, &str),
) -> Result<ObjectPage, Fault> {
    let Path((collection, object)) = path.map_err(|_not_text| Fault::missing())?;
    let collection = collection_id(&collection)?;
    let narrowed = objects.added_after.is_some() || !objects.spec_versions.is_empty();
    let query = ObjectsQuery { ids: vec![object], ..objects };
    let page = asked.hub.objects(&asked.member, collection, query, limit, next).await?;
    let is_missing = page.objects.is_empty() && page.next.is_none();
    if is_missing && next.is_empty() && !narrowed { Err(Fault::missing()) } else { Ok(page) }
}

/// An id in its one spelling; what is none names nothing.
fn collection_id(text: &str) -> Result<Uuid, Fault> {
    let id = Uuid::try_parse(text).ok().filter(|id| id.to_string() == text);
    id.ok_or_else(Fault::missing)
}
