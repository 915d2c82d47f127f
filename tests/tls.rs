//! Who gets in and who does not: the hub's acceptor and the client's side over real sockets.
//!
//! The service behind it is tonic's health service, so that only TLS and the HTTP/2 settings are under test.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[path = "../certs/pki.rs"]
mod pki;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Request;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Channel;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;
use tonic_health::server::HealthService;
use watchfire::model::time::Clock;
use watchfire::model::time::SystemClock;
use watchfire::model::time::Timestamp;
use watchfire::pki::CertificateRequest;
use watchfire::tls;
use watchfire::tls::ClientTls;
use watchfire::tls::ConnectError;
use watchfire::tls::ConnectionLimits;
use watchfire::tls::Peer;
use watchfire::tls::Reloader;
use watchfire::tls::TlsFiles;
use watchfire::tls::TlsLoadError;

use crate::pki::Credentials;
use crate::pki::HOST;
use crate::pki::Pki;
use crate::pki::TRUST_DOMAIN;
use crate::pki::Wish;
use crate::pki::days;

/// Nothing here takes as long, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

// ---------------------------------------------------------------------------------------------- who gets in

#[tokio::test]
async fn a_member_gets_in_and_is_known() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    let mut health = HealthClient::new(world.connect(&member).await.expect("a connection"));
    let answer = within(health.check(HealthCheckRequest::default())).await.expect("an answer");
    assert_eq!(
        answer.into_inner().status(),
        tonic_health::pb::health_check_response::ServingStatus::Serving
    );
    let peer = world.last_peer();
    assert_eq!(peer.member.as_str(), "acme-video");
    assert_eq!(peer.agent, None);
    assert_eq!(peer.serial, member.serial);
    let facts = watchfire::pki::inspect(&member.certificate_pem).expect("its facts");
    assert_eq!(peer.not_after, facts.not_after);
    assert!(peer.address.ip().is_loopback());
}

#[tokio::test]
async fn an_agent_acts_for_its_member() {
    let world = World::start().await;
    let request = CertificateRequest::generate("feed").expect("a request");
    let (member, agent) = ("acme-video".parse().expect("an id"), "feed".parse().expect("an id"));
    let validity = days(world.pki.now, 1, 30);
    let issued = world
        .pki
        .ca
        .issue_agent(TRUST_DOMAIN, (&member, &agent), &request.request_pem, validity)
        .expect("a certificate");
    let credentials = Credentials {
        certificate_pem: issued.certificate_pem,
        key_pem: request.key_pem.to_string(),
        serial: issued.serial,
    };
    world.call(&credentials).await.expect("an answer");
    assert_eq!(world.last_peer().member, member);
    assert_eq!(world.last_peer().agent.as_deref(), Some("feed"));
}

#[tokio::test]
async fn p384_and_ed25519_keys_get_in() {
    let world = World::start().await;
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let credentials = world.pki.forge(&Wish { algorithm, ..Wish::good("acme-video") });
        world.call(&credentials).await.expect("an answer");
    }
}

#[tokio::test]
async fn a_client_with_one_classical_key_exchange_gets_in() {
    let world = World::start().await;
    // P-256 is all that gRPC's C core offers.
    for group in [aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1] {
        let config = world.config(&world.pki.member("acme-video"), &[group]);
        let mut stream = world.dial(config.into()).await.expect("a handshake");
        read_some(&mut stream).await.expect("the hub's settings");
    }
}

#[tokio::test]
async fn the_key_exchange_is_hybrid_and_nothing_can_be_resumed() {
    let world = World::start().await;
    let config = world.config(&world.pki.member("acme-video"), aws_lc_rs::ALL_KX_GROUPS);
    let mut stream = world.dial(config.into()).await.expect("a handshake");
    read_some(&mut stream).await.expect("the hub's settings");
    let (_socket, session) = stream.get_ref();
    let group = session.negotiated_key_exchange_group().expect("a key exchange").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(session.tls13_tickets_received(), 0);
}

#[tokio::test]
async fn a_chain_may_have_three_intermediates_and_no_more() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    let with = |count: usize| Credentials {
        certificate_pem: member.certificate_pem.clone()
            + &world.pki.ca.certificate_pem().repeat(count),
        ..member.clone()
    };
    world.call(&with(3)).await.expect("an answer");
    world.check_refused(&with(4), "HandshakeFailure").await;
    world.check_refused(&with(11), "HandshakeFailure").await;
}

// ------------------------------------------------------------------------------------ certificates refused

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let world = World::start().await;
    let config = builder(&world.pki, aws_lc_rs::ALL_KX_GROUPS).with_no_client_auth();
    world.check_raw_refused(with_h2(config), "CertificateRequired").await;
}

#[tokio::test]
async fn a_certificate_of_a_foreign_authority_is_refused() {
    let world = World::start().await;
    let foreign = Pki::named("autumn CA", world.pki.now);
    world.check_refused(&foreign.member("acme-video"), "UnknownCA").await;
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_borrows_our_name_is_refused() {
    let world = World::start().await;
    let foreign = Pki::new(world.pki.now);
    let alert = world.alert(&foreign.member("acme-video")).await;
    assert!(alert.contains("DecryptError") || alert.contains("UnknownCA"), "{alert}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let world = World::start().await;
    let (now, day) = (world.pki.now, Duration::from_hours(24));
    let validity = watchfire::pki::Validity { not_before: now - 9 * day, not_after: now - day };
    let expired = world.pki.member_for("acme-video", validity);
    world.check_refused(&expired, "CertificateExpired").await;
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let world = World::start().await;
    let (now, day) = (world.pki.now, Duration::from_hours(24));
    let validity = watchfire::pki::Validity { not_before: now + day, not_after: now + 9 * day };
    let early = world.pki.member_for("acme-video", validity);
    world.check_refused(&early, "CertificateExpired").await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let world = World::start().await;
    let (revoked, other) = (world.pki.member("acme-video"), world.pki.member("acme-video"));
    world.pki.revoke(&[&revoked], 2);
    world.reloader.reload().expect("a reload");
    world.check_refused(&revoked, "CertificateRevoked").await;
    world.call(&other).await.expect("an answer");
}

#[tokio::test]
async fn a_certificate_for_servers_is_refused() {
    let world = World::start().await;
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let forged = world.pki.forge(&Wish { usage, ..Wish::good("acme-video") });
    world.check_refused(&forged, "UnsupportedCertificate").await;
}

#[tokio::test]
async fn a_certificate_without_a_uri_name_is_refused() {
    let world = World::start().await;
    world.check_uris_refused(&[]).await;
}

#[tokio::test]
async fn a_certificate_with_two_uri_names_is_refused() {
    let world = World::start().await;
    let acme = format!("spiffe://{TRUST_DOMAIN}/members/acme-video");
    let other = format!("spiffe://{TRUST_DOMAIN}/members/other-video");
    world.check_uris_refused(&[&acme, &other]).await;
    world.check_uris_refused(&[&acme, &acme]).await;
    world.check_uris_refused(&[&acme, "https://www.example.com/"]).await;
}

#[tokio::test]
async fn a_certificate_of_another_trust_domain_is_refused() {
    let world = World::start().await;
    world.check_uris_refused(&["spiffe://autumn.example/members/acme-video"]).await;
    world.check_uris_refused(&["spiffe://spring.example.example.org/members/acme-video"]).await;
    world.check_uris_refused(&["spiffe://SPRING.example/members/acme-video"]).await;
    world.check_uris_refused(&["spiffe://user@spring.example/members/acme-video"]).await;
    world.check_uris_refused(&["spiffe://spring.example:443/members/acme-video"]).await;
}

#[tokio::test]
async fn a_uri_name_that_plays_tricks_is_refused() {
    let world = World::start().await;
    let paths = [
        "",
        "/",
        "/members",
        "/members/",
        "/members/ab",
        "/members/acme-video/",
        "//members/acme-video",
        "/members//acme-video",
        "/members/../members/acme-video",
        "/members/acme%2dvideo",
        "/members/Acme-Video",
        "/members/acme-video?x=1",
        "/members/acme-video#x",
        "/members/acme-video/agents",
        "/members/acme-video/agents/",
        "/members/acme-video/agents/feed/more",
        "/hubs/acme-video",
    ];
    for path in paths {
        world.check_uris_refused(&[&format!("spiffe://{TRUST_DOMAIN}{path}")]).await;
    }
}

#[tokio::test]
async fn an_id_that_is_too_long_or_stands_for_many_is_refused() {
    let world = World::start().await;
    let long = "a".repeat(2049);
    for id in ["*", "acme-*", "acme-video,birch-social", " acme-video", "acme_video", &long] {
        world.check_uris_refused(&[&format!("spiffe://{TRUST_DOMAIN}/members/{id}")]).await;
    }
    for domain in ["*.example", "spring.example.", "spring.example%2e", ".spring.example", ""] {
        world.check_uris_refused(&[&format!("spiffe://{domain}/members/acme-video")]).await;
    }
    for scheme in ["SPIFFE", "https", "spiffe+x"] {
        world.check_uris_refused(&[&format!("{scheme}://{TRUST_DOMAIN}/members/acme-video")]).await;
    }
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_refused() {
    let world = World::start().await;
    let request = openssl(&world, &[]).self_signed();
    world.check_refused(&request, "UnknownCA").await;
}

#[tokio::test]
async fn weak_keys_and_signatures_are_refused() {
    let world = World::start().await;
    // The control: the same hands make one that is taken.
    let good = openssl(&world, &[]).signed(&["-sha256"]);
    world.call(&good).await.expect("an answer");
    let sha1 = openssl(&world, &[]).signed(&["-sha1"]);
    world.check_openssl_refused(&sha1).await;
    let small = openssl(&world, &["-newkey", "rsa:1024"]).signed(&["-sha256"]);
    world.check_openssl_refused(&small).await;
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"];
    let curve = openssl(&world, &curve).signed(&["-sha256"]);
    world.check_openssl_refused(&curve).await;
}

#[tokio::test]
async fn an_intermediate_speaks_for_no_domain_that_it_may_not() {
    let world = World::start().await;
    let uri = format!("spiffe://{TRUST_DOMAIN}/members/acme-video");
    let chained = |constraint: &str| {
        let hands = openssl(&world, &[]);
        hands.write("ca.ext", &format!("basicConstraints=critical,CA:TRUE\n{constraint}"));
        let subject =
            ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=middle"];
        hands.run(
            &[
                &["req", "-new", "-nodes", "-keyout", "middle.key", "-out", "middle.csr"],
                &subject[..],
            ]
            .concat(),
        );
        hands.run(&[
            "x509",
            "-req",
            "-in",
            "middle.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-days",
            "9",
            "-extfile",
            "ca.ext",
            "-out",
            "middle.pem",
        ]);
        hands.leaf_of("middle", &uri)
    };
    // Without a list of its own, an intermediate's certificates cannot be looked up: nobody gets in by one.
    for constraint in ["", "nameConstraints=critical,permitted;URI:.autumn.example"] {
        let alert = world.alert(&chained(constraint)).await;
        assert!(!alert.is_empty(), "{constraint}");
    }
}

#[tokio::test]
async fn a_certificate_of_an_authority_speaks_for_no_member() {
    let world = World::start().await;
    let forged = world.pki.forge(&Wish { is_authority: true, ..Wish::good("acme-video") });
    let alert = world.alert(&forged).await;
    assert!(alert.contains("BadCertificate") || alert.contains("CertificateUnknown"), "{alert}");
}

// --------------------------------------------------------------------------------------- protocols refused

#[tokio::test]
async fn tls_1_2_is_refused() {
    let world = World::start().await;
    let mut socket = TcpStream::connect(world.address).await.expect("a socket");
    socket.write_all(&client_hello_of_tls_1_2()).await.expect("written");
    let mut answer = Vec::new();
    within(socket.read_to_end(&mut answer)).await.expect("an alert, then the end");
    // Alert, fatal, protocol_version.
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 70]);
}

#[tokio::test]
async fn a_key_exchange_that_is_not_offered_is_refused() {
    let world = World::start().await;
    let config = world.config(&world.pki.member("acme-video"), &[aws_lc_rs::kx_group::MLKEM768]);
    world.check_raw_refused(config, "HandshakeFailure").await;
}

#[tokio::test]
async fn plaintext_is_refused() {
    let world = World::start().await;
    for words in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\nHost: hub.example\r\n\r\n"]
    {
        let mut socket = TcpStream::connect(world.address).await.expect("a socket");
        socket.write_all(words.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        within(socket.read_to_end(&mut answer)).await.expect("an alert, then the end");
        assert!(answer.is_empty() || answer.starts_with(&[0x15]), "{answer:?}");
    }
    assert_eq!(world.reloader.live(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_speak_h2_is_refused() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    let mut config = world.config(&member, aws_lc_rs::ALL_KX_GROUPS);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    world.check_raw_refused(config.clone(), "NoApplicationProtocol").await;
    config.alpn_protocols = Vec::new();
    let mut stream = world.dial(config.into()).await.expect("a handshake");
    let mut words = Vec::new();
    let _end = within(stream.read_to_end(&mut words)).await;
    assert_eq!(words, b"", "the hub has nothing to say without h2");
    assert_eq!(world.reloader.live(), 0);
}

// ------------------------------------------------------------------------------------------------ patience

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped() {
    let world = World::start().await;
    let started = Instant::now();
    let mut socket = TcpStream::connect(world.address).await.expect("a socket");
    let _end = within(socket.read(&mut [0])).await;
    let waited = started.elapsed();
    assert!(waited + Duration::from_millis(100) >= tls::limits::HANDSHAKE_MAX, "{waited:?}");
    assert!(waited < tls::limits::HANDSHAKE_MAX * 2, "{waited:?}");
}

#[tokio::test]
async fn a_member_that_says_nothing_is_dropped() {
    let world = World::start().await;
    let config = world.config(&world.pki.member("acme-video"), aws_lc_rs::ALL_KX_GROUPS);
    let mut stream = world.dial(config.into()).await.expect("a handshake");
    // One byte short of the preface.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r").await.expect("written");
    let mut words = Vec::new();
    let started = Instant::now();
    let _end = within(stream.read_to_end(&mut words)).await;
    let waited = started.elapsed();
    assert!(waited < tls::limits::PREFACE_MAX * 3, "{waited:?}");
    world.eventually(|world| world.reloader.live() == 0).await;
}

#[tokio::test]
async fn silent_clients_take_no_turn_from_others() {
    let limits = ConnectionLimits { handshakes: 1, ..ConnectionLimits::default() };
    let world = World::start_with(limits).await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(world.address).await.expect("a socket"));
    }
    let started = Instant::now();
    world.call(&world.pki.member("acme-video")).await.expect("an answer");
    assert!(started.elapsed() < tls::limits::HANDSHAKE_MAX, "{:?}", started.elapsed());
    drop(silent);
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let world = World::start().await;
    let not_after = world.pki.now + Duration::from_secs(3);
    let validity = watchfire::pki::Validity { not_after, ..days(world.pki.now, 1, 1) };
    let mut stream = world.watch(&world.pki.member_for("acme-video", validity)).await;
    check_ends(&mut stream).await;
}

#[tokio::test]
async fn a_connection_ends_with_the_revocation_list() {
    let world = World::start().await;
    let not_after = world.pki.now + Duration::from_secs(3);
    let validity = watchfire::pki::Validity { not_after, ..days(world.pki.now, 1, 1) };
    world.pki.revoke_for(&[], 2, validity);
    world.reloader.reload().expect("a reload");
    let mut stream = world.watch(&world.pki.member("acme-video")).await;
    check_ends(&mut stream).await;
}

// -------------------------------------------------------------------------------------------------- limits

#[tokio::test]
async fn a_member_has_a_number_of_connections() {
    let limits = ConnectionLimits { per_member: 2, ..ConnectionLimits::default() };
    let world = World::start_with(limits).await;
    let (acme, other) = (world.pki.member("acme-video"), world.pki.member("other-video"));
    let first = world.watch(&acme).await;
    let second = world.watch(&acme).await;
    let third = world.connect(&acme).await;
    assert!(matches!(third, Err(ConnectError::Unreachable { .. })), "{third:?}");
    let others = world.watch(&other).await;
    drop(second);
    world.eventually(|world| world.reloader.live() == 2).await;
    world.call(&acme).await.expect("an answer");
    drop((first, others));
}

#[tokio::test]
async fn an_address_has_a_number_of_connections() {
    let limits = ConnectionLimits { per_address: 2, ..ConnectionLimits::default() };
    check_limit_of_two(limits).await;
}

#[tokio::test]
async fn the_hub_has_a_number_of_connections() {
    let limits = ConnectionLimits { total: 2, ..ConnectionLimits::default() };
    check_limit_of_two(limits).await;
}

async fn check_limit_of_two(limits: ConnectionLimits) {
    let world = World::start_with(limits).await;
    let first = world.watch(&world.pki.member("acme-video")).await;
    let second = world.watch(&world.pki.member("other-video")).await;
    let third = world.connect(&world.pki.member("third-video")).await;
    assert!(matches!(third, Err(ConnectError::Unreachable { .. })), "{third:?}");
    drop(first);
    world.eventually(|world| world.reloader.live() == 1).await;
    world.call(&world.pki.member("third-video")).await.expect("an answer");
    drop(second);
}

#[tokio::test]
async fn the_hub_announces_its_limits() {
    let world = World::start().await;
    let config = world.config(&world.pki.member("acme-video"), aws_lc_rs::ALL_KX_GROUPS);
    let mut stream = world.dial(config.into()).await.expect("a handshake");
    let settings = within(settings_of(&mut stream)).await.expect("a frame");
    let value =
        |id| settings.iter().find(|(found, _value)| *found == id).map(|(_id, value)| *value);
    assert_eq!(value(3), Some(tls::limits::STREAMS_MAX), "{settings:?}");
    assert_eq!(value(4), Some(tls::limits::STREAM_WINDOW_BYTES), "{settings:?}");
    assert_eq!(value(5), Some(tls::limits::FRAME_BYTES_MAX), "{settings:?}");
    assert_eq!(value(6), Some(tls::limits::HEADER_LIST_BYTES_MAX), "{settings:?}");
}

#[tokio::test]
async fn metadata_over_the_limit_is_refused() {
    let world = World::start().await;
    let channel = world.connect(&world.pki.member("acme-video")).await.expect("a connection");
    let mut health = HealthClient::new(channel);
    let mut request = Request::new(HealthCheckRequest::default());
    let bomb = "x".repeat(40 * 1024).parse().expect("metadata");
    request.metadata_mut().insert("bomb", bomb);
    within(health.check(request)).await.expect_err("40 KiB of metadata must be refused");
    within(health.check(HealthCheckRequest::default())).await.expect("an answer");
}

#[tokio::test]
async fn no_header_carries_identity() {
    let world = World::start().await;
    let channel = world.connect(&world.pki.member("acme-video")).await.expect("a connection");
    let mut request = Request::new(HealthCheckRequest::default());
    for name in ["x-member", "x-forwarded-client-cert", "x-spiffe-id", "authorization"] {
        let value = "spiffe://spring.example/members/other-video".parse().expect("metadata");
        request.metadata_mut().insert(name, value);
    }
    within(HealthClient::new(channel).check(request)).await.expect("an answer");
    assert_eq!(world.last_peer().member.as_str(), "acme-video");
}

// ------------------------------------------------------------------------------------- reload, revocation

#[tokio::test]
async fn revocation_ends_a_live_connection_and_no_other() {
    let world = World::start().await;
    let (revoked, other) = (world.pki.member("acme-video"), world.pki.member("other-video"));
    let mut ended = world.watch(&revoked).await;
    let mut lives = world.watch(&other).await;
    world.pki.revoke(&[&revoked], 2);
    assert_eq!(world.reloader.reload().expect("a reload").ended, 1);
    check_ends(&mut ended).await;
    world.eventually(|world| world.reloader.live() == 1).await;
    world.health.set_service_status("", ServingStatus::NotServing).await;
    let news = within(lives.message()).await.expect("a message").expect("not the end");
    assert_eq!(news.status(), tonic_health::pb::health_check_response::ServingStatus::NotServing);
}

#[tokio::test]
async fn the_files_are_watched() {
    let world = World::start().await;
    let watching = Arc::clone(&world.reloader);
    world.tasks.spawn(watching.watch(tls::limits::RELOAD_INTERVAL, world.stop.clone()));
    let member = world.pki.member("acme-video");
    let mut stream = world.watch(&member).await;
    world.pki.write("crl.pem", "half a file");
    world.pki.revoke(&[&member], 2);
    check_ends(&mut stream).await;
    world.check_refused(&member, "CertificateRevoked").await;
}

#[tokio::test]
async fn a_session_cannot_be_resumed_after_revocation() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    let config = Arc::new(world.config(&member, aws_lc_rs::ALL_KX_GROUPS));
    let mut stream = world.dial(Arc::clone(&config)).await.expect("a handshake");
    read_some(&mut stream).await.expect("the hub's settings");
    world.pki.revoke(&[&member], 2);
    world.reloader.reload().expect("a reload");
    let error = world.dial_and_read(config).await.expect_err("a revoked certificate");
    assert!(error.contains("CertificateRevoked"), "{error}");
}

#[tokio::test]
async fn nobody_gets_in_when_the_list_is_past_its_end() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    world.clock.advance(Duration::from_hours(24 * 89));
    world.call(&member).await.expect("an answer");
    world.clock.advance(Duration::from_hours(24 * 2));
    world.check_refused(&member, "UnknownCA").await;
    let later = watchfire::pki::Validity {
        not_before: world.pki.now,
        not_after: world.pki.now + Duration::from_hours(24 * 180),
    };
    world.pki.install(&world.pki.server(later));
    world.pki.revoke_for(&[], 2, later);
    world.reloader.reload().expect("a reload");
    world.call(&member).await.expect("an answer");
}

#[tokio::test]
async fn serial_numbers_count_for_their_authority_only() {
    let clock = ManualClock::start();
    let (spring, autumn) = (Pki::new(clock.time()), Pki::named("autumn CA", clock.time()));
    let mut files = spring.files();
    files.client_ca.extend(autumn.files().client_ca);
    files.revocation_lists.extend(autumn.files().revocation_lists);
    let serial = Some(vec![0x51]);
    let wish = Wish { serial, ..Wish::good("acme-video") };
    let (revoked, other) = (spring.forge(&wish), autumn.forge(&wish));
    spring.revoke(&[&revoked], 7);
    let world = World::start_from(spring, clock, ConnectionLimits::default(), files).await;
    world.check_refused(&revoked, "CertificateRevoked").await;
    let mut stream = world.watch(&other).await;
    // The lists' numbers are 7 and 1: each is compared with its own.
    assert_eq!(world.reloader.reload().expect("a reload").ended, 0);
    world.health.set_service_status("", ServingStatus::NotServing).await;
    within(stream.message()).await.expect("a message").expect("not the end");
}

#[tokio::test]
async fn connections_of_an_authority_that_is_taken_out_end() {
    let world = World::start().await;
    let mut stream = world.watch(&world.pki.member("acme-video")).await;
    let other = Pki::named("autumn CA", world.pki.now);
    for name in ["ca.pem", "crl.pem"] {
        let text = std::fs::read_to_string(other.path(name)).expect("a file");
        world.pki.write(name, &text);
    }
    assert_eq!(world.reloader.reload().expect("a reload").ended, 1);
    check_ends(&mut stream).await;
    world.call(&other.member("acme-video")).await.expect("an answer");
}

#[tokio::test]
async fn a_new_server_certificate_is_served_without_a_restart() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    let mut old = world.watch(&member).await;
    let server = world.pki.server(days(world.pki.now, 1, 60));
    world.pki.install(&server);
    let reloaded = world.reloader.reload().expect("a reload");
    assert_eq!(reloaded.ended, 0);
    let facts = watchfire::pki::inspect(&server.certificate_pem).expect("its facts");
    assert_eq!(reloaded.expiry.certificate, facts.not_after);
    let config = world.config(&member, aws_lc_rs::ALL_KX_GROUPS);
    let stream = world.dial(config.into()).await.expect("a handshake");
    let shown =
        stream.get_ref().1.peer_certificates().and_then(<[_]>::first).expect("a certificate");
    assert_eq!(shown.as_ref(), facts.der);
    world.health.set_service_status("", ServingStatus::NotServing).await;
    within(old.message()).await.expect("a message").expect("the old connection goes on");
}

#[tokio::test]
async fn a_bad_reload_keeps_what_was_in_use() {
    let world = World::start().await;
    let (member, revoked) = (world.pki.member("acme-video"), world.pki.member("other-video"));
    world.pki.revoke(&[&revoked], 5);
    world.reloader.reload().expect("a reload");
    let before = world.reloader.expiry();
    world.pki.write("server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    world.pki.revoke(&[], 6);
    world.reloader.reload().expect_err("a certificate of three bytes");
    assert_eq!(world.reloader.expiry(), before);
    world.call(&member).await.expect("an answer");
    world.check_refused(&revoked, "CertificateRevoked").await;
}

#[tokio::test]
async fn all_connections_can_be_ended() {
    let world = World::start().await;
    let mut acme = world.watch(&world.pki.member("acme-video")).await;
    let mut other = world.watch(&world.pki.member("other-video")).await;
    assert_eq!(world.reloader.end_if(|peer| peer.member.as_str() == "acme-video"), 1);
    check_ends(&mut acme).await;
    assert_eq!(world.reloader.end_if(|_all| true), 1);
    check_ends(&mut other).await;
    world.eventually(|world| world.reloader.live() == 0).await;
}

#[tokio::test]
async fn after_stop_nobody_is_accepted() {
    let world = World::start().await;
    world.call(&world.pki.member("acme-video")).await.expect("an answer");
    world.stop.cancel();
    world.tasks.close();
    within(world.tasks.wait()).await;
    let result = world.connect(&world.pki.member("acme-video")).await;
    assert!(matches!(result, Err(ConnectError::Unreachable { .. })), "{result:?}");
}

// --------------------------------------------------------------------------- files that are not to be used

#[track_caller]
fn check_files(spoil: impl Fn(&Pki, &mut TlsFiles), expected: impl Fn(&TlsLoadError) -> bool) {
    let clock = ManualClock::start();
    let pki = Pki::new(clock.time());
    let mut files = pki.files();
    pki.revoke(&[], 5);
    let reloader =
        Reloader::open(files.clone(), TRUST_DOMAIN, time_of(&clock)).expect("good files");
    let before = reloader.expiry();
    let paths = format!("{files:?}");
    spoil(&pki, &mut files);
    let error = if format!("{files:?}") == paths {
        let error = reloader.reload().expect_err("spoilt files");
        assert_eq!(reloader.expiry(), before);
        error
    } else {
        match Reloader::open(files, TRUST_DOMAIN, clock) {
            Ok(_) => panic!("spoilt files were taken"),
            Err(error) => error,
        }
    };
    assert!(expected(&error), "{error:?}");
}

#[test]
fn garbage_is_not_loaded() {
    let is_content = |error: &TlsLoadError| matches!(error, TlsLoadError::Content { .. });
    for name in ["server.pem", "server.key", "ca.pem", "crl.pem"] {
        check_files(|pki, _files| pki.write(name, "garbage"), is_content);
        check_files(|pki, _files| pki.write(name, ""), is_content);
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    check_files(
        |pki, _files| std::fs::remove_file(pki.path("crl.pem")).expect("removed"),
        |error| matches!(error, TlsLoadError::File { path, .. } if path.ends_with("crl.pem")),
    );
}

#[test]
fn a_file_without_end_is_not_read() {
    check_files(
        |_pki, files| files.certificate = "/dev/zero".into(),
        |error| matches!(error, TlsLoadError::Content { .. }),
    );
}

#[test]
fn a_key_of_another_certificate_is_not_loaded() {
    check_files(
        |pki, _files| pki.write("server.key", &pki.server(days(pki.now, 1, 9)).key_pem),
        |error| matches!(error, TlsLoadError::Unfit(_)),
    );
}

#[test]
fn an_expired_server_certificate_is_not_loaded() {
    let validity = |now: SystemTime| watchfire::pki::Validity {
        not_before: now - Duration::from_hours(48),
        not_after: now - Duration::from_hours(24),
    };
    check_files(
        |pki, _files| pki.install(&pki.server(validity(pki.now))),
        |error| matches!(error, TlsLoadError::Expired { path } if path.ends_with("server.pem")),
    );
    check_files(
        |pki, _files| pki.revoke_for(&[], 6, validity(pki.now)),
        |error| matches!(error, TlsLoadError::Expired { path } if path.ends_with("crl.pem")),
    );
}

#[test]
fn an_older_revocation_list_is_not_loaded() {
    check_files(
        |pki, _files| pki.revoke(&[], 4),
        |error| {
            let TlsLoadError::OlderRevocationList { found, in_use, .. } = error else {
                return false;
            };
            (found.as_str(), in_use.as_str()) == ("4", "5")
        },
    );
}

#[test]
fn a_revocation_list_of_another_authority_is_not_loaded() {
    let is_foreign =
        |error: &TlsLoadError| matches!(error, TlsLoadError::ForeignRevocationList { .. });
    // By its name; and with our name, by its signature.
    for title in ["autumn CA", "spring CA"] {
        check_files(
            |pki, _files| {
                let other = Pki::named(title, pki.now);
                other.revoke(&[], 6);
                let list = std::fs::read_to_string(other.path("crl.pem")).expect("a list");
                pki.write("crl.pem", &list);
            },
            is_foreign,
        );
    }
}

#[test]
fn each_authority_has_one_revocation_list() {
    let is_missing = |error: &TlsLoadError| matches!(error, TlsLoadError::NoRevocationList);
    check_files(|_pki, files| files.revocation_lists.clear(), is_missing);
    check_files(|pki, files| files.revocation_lists.push(pki.path("crl.pem")), is_missing);
    check_files(
        |pki, _files| {
            let other = Pki::named("autumn CA", pki.now);
            let both = format!("{}{}", pki.ca.certificate_pem(), other.ca.certificate_pem());
            pki.write("ca.pem", &both);
        },
        is_missing,
    );
}

#[test]
fn two_authorities_of_one_name_are_not_loaded() {
    check_files(
        |pki, _files| {
            let other = Pki::new(pki.now);
            let both = format!("{}{}", pki.ca.certificate_pem(), other.ca.certificate_pem());
            pki.write("ca.pem", &both);
        },
        |error| matches!(error, TlsLoadError::Content { .. }),
    );
}

// --------------------------------------------------------------------------------------- the client's side

#[tokio::test]
async fn a_client_refuses_a_hub_that_it_does_not_know() {
    let world = World::start().await;
    let mut tls = world.client(&world.pki.member("acme-video"));
    tls.server_name = "other.example".to_owned();
    check_hint(&world, &tls, "not the one that this profile knows").await;
    let mut tls = world.client(&world.pki.member("acme-video"));
    tls.ca_pem = Pki::new(world.pki.now).ca.certificate_pem().to_owned();
    check_hint(&world, &tls, "not the one that this profile knows").await;
}

#[tokio::test]
async fn a_refused_client_is_told_the_cause() {
    let world = World::start().await;
    let (revoked, foreign) =
        (world.pki.member("acme-video"), Pki::named("autumn CA", world.pki.now));
    world.pki.revoke(&[&revoked], 2);
    world.reloader.reload().expect("a reload");
    check_hint(&world, &world.client(&revoked), "the operator revoked").await;
    let stranger = world.client(&foreign.member("acme-video"));
    check_hint(&world, &stranger, "of another exchange, or the hub's revocation list").await;
    let uris = vec!["spiffe://autumn.example/members/acme-video".to_owned()];
    let nobody = world.pki.forge(&Wish { uris, ..Wish::good("acme-video") });
    check_hint(&world, &world.client(&nobody), "names no member of this exchange").await;
}

#[tokio::test]
async fn a_refused_client_that_talks_on_still_hears_the_alert() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    world.pki.revoke(&[&member], 2);
    world.reloader.reload().expect("a reload");
    let config = Arc::new(world.config(&member, aws_lc_rs::ALL_KX_GROUPS));
    for _ in 0..20 {
        let mut stream = world.dial(Arc::clone(&config)).await.expect("our side is done first");
        // As most clients do: the preface and the first call at once.
        for _ in 0..4 {
            stream.write_all(&[b'x'; 16 * 1024]).await.expect("the hub reads on for a while");
            stream.flush().await.expect("the hub reads on for a while");
            tokio::task::yield_now().await;
        }
        let error = read_some(&mut stream).await.expect_err("a refusal");
        let words = tls::explain(&error).unwrap_or_else(|| error.to_string());
        assert!(words.contains("CertificateRevoked"), "{words}");
    }
}

async fn check_hint(world: &World, tls: &ClientTls, expected: &str) {
    let result = within(tls::connect(&world.address.to_string(), tls)).await;
    let error = result.expect_err("a refusal");
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_call_that_dials_again_is_told_the_cause() {
    let world = World::start().await;
    let member = world.pki.member("acme-video");
    let channel = world.connect(&member).await.expect("a connection");
    let mut health = HealthClient::new(channel);
    within(health.check(HealthCheckRequest::default())).await.expect("an answer");
    world.pki.revoke(&[&member], 2);
    world.reloader.reload().expect("a reload");
    // The first error may be that of the connection that ended.
    let words = within(async {
        let mut words = None;
        while words.is_none() {
            let status = health.check(HealthCheckRequest::default()).await;
            words = tls::explain(&status.expect_err("a revoked certificate"));
        }
        words.unwrap_or_default()
    });
    let words = words.await;
    assert!(words.contains("the operator revoked"), "{words}");
}

#[tokio::test]
async fn a_lazy_client_dials_at_its_first_call() {
    let world = World::start().await;
    let tls = world.client(&world.pki.member("acme-video"));
    let channel = tls::connect_lazily(&world.address.to_string(), &tls).expect("a channel");
    assert!(world.peers.lock().expect("the peers").is_empty());
    let mut health = HealthClient::new(channel);
    within(health.check(HealthCheckRequest::default())).await.expect("an answer");
}

#[tokio::test]
async fn a_hub_that_is_not_there_is_unreachable() {
    let world = World::start().await;
    let tls = world.client(&world.pki.member("acme-video"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = within(tls::connect(&address, &tls)).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn what_does_not_speak_tls_is_named_so() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    world.tasks.spawn(async move {
        let (mut socket, _address) = listener.accept().await.expect("a client");
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        let _end = socket.read_to_end(&mut Vec::new()).await;
    });
    let tls = world.client(&world.pki.member("acme-video"));
    let error = within(tls::connect(&address, &tls)).await.expect_err("plaintext");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_profile_that_cannot_be_used_is_named() {
    let world = World::start().await;
    let good = world.client(&world.pki.member("acme-video"));
    let other = world.pki.member("other-video");
    let garbage = || "garbage".to_owned();
    let spoilt = [
        (ClientTls { server_name: "not a name".to_owned(), ..good.clone() }, "server name"),
        (ClientTls { key_pem: garbage(), ..good.clone() }, "TLS key"),
        (ClientTls { key_pem: other.key_pem, ..good.clone() }, "certificate and TLS key"),
        (ClientTls { certificate_pem: garbage(), ..good.clone() }, "certificate"),
        (ClientTls { ca_pem: garbage(), ..good }, "authority"),
    ];
    for (tls, what) in spoilt {
        let error = tls::connect("127.0.0.1:1", &tls).await.expect_err("a spoilt profile");
        assert!(matches!(error, ConnectError::Profile(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(what), "{what}: {error}");
    }
}

// ---------------------------------------------------------------------------------------------- the world

/// A hub's acceptor with a health service behind it.
struct World {
    pki: Pki,
    clock: Arc<ManualClock>,
    reloader: Arc<Reloader>,
    address: SocketAddr,
    health: HealthReporter,
    /// Who called, as the service sees it.
    peers: Arc<Mutex<Vec<Arc<Peer>>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl World {
    async fn start() -> Self {
        Self::start_with(ConnectionLimits::default()).await
    }

    async fn start_with(limits: ConnectionLimits) -> Self {
        let clock = ManualClock::start();
        let pki = Pki::new(clock.time());
        let files = pki.files();
        Self::start_from(pki, clock, limits, files).await
    }

    async fn start_from(
        pki: Pki,
        clock: Arc<ManualClock>,
        limits: ConnectionLimits,
        files: TlsFiles,
    ) -> Self {
        let reloader = Reloader::open(files, TRUST_DOMAIN, time_of(&clock));
        let reloader = reloader.expect("good files");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let incoming = tls::incoming(listener, Arc::clone(&reloader), limits, stop.clone(), &tasks);
        let health = HealthReporter::new();
        health.set_service_status("", ServingStatus::Serving).await;
        let peers: Arc<Mutex<Vec<Arc<Peer>>>> = Arc::default();
        let service = HealthServer::with_interceptor(
            HealthService::from_health_reporter(health.clone()),
            remember(Arc::clone(&peers)),
        );
        let serving = tls::configure(Server::builder())
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        tasks.spawn(serving);
        Self { pki, clock, reloader, address, health, peers, stop, tasks }
    }

    fn client(&self, credentials: &Credentials) -> ClientTls {
        ClientTls {
            ca_pem: self.pki.ca.certificate_pem().to_owned(),
            certificate_pem: credentials.certificate_pem.clone(),
            key_pem: credentials.key_pem.clone(),
            server_name: HOST.to_owned(),
        }
    }

    async fn connect(&self, credentials: &Credentials) -> Result<Channel, ConnectError> {
        within(tls::connect(&self.address.to_string(), &self.client(credentials))).await
    }

    async fn call(&self, credentials: &Credentials) -> Result<(), Box<dyn std::error::Error>> {
        let mut health = HealthClient::new(self.connect(credentials).await?);
        within(health.check(HealthCheckRequest::default())).await?;
        Ok(())
    }

    /// Opens a stream and reads its first message.
    async fn watch(&self, credentials: &Credentials) -> Streaming<HealthCheckResponse> {
        let channel = self.connect(credentials).await.expect("a connection");
        let mut health = HealthClient::new(channel);
        let stream = within(health.watch(HealthCheckRequest::default())).await;
        let mut stream = stream.expect("a stream").into_inner();
        within(stream.message()).await.expect("a message").expect("not the end");
        stream
    }

    /// The alert with which the hub refuses.
    async fn alert(&self, credentials: &Credentials) -> String {
        let calls = self.calls();
        let error = self.connect(credentials).await.expect_err("a refusal");
        assert_eq!(self.calls(), calls, "a refused client reached the service");
        match error {
            ConnectError::Refused { alert, .. } => alert,
            ConnectError::Profile(_) | ConnectError::Unreachable { .. } => panic!("{error:?}"),
        }
    }

    async fn check_refused(&self, credentials: &Credentials, expected: &str) {
        let alert = self.alert(credentials).await;
        assert!(alert.contains(expected), "{alert:?} instead of {expected}");
    }

    /// The same for what our own client would not even show: OpenSSL shows it, without its own scruples.
    async fn check_openssl_refused(&self, credentials: &Credentials) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in
            [("leaf.pem", &credentials.certificate_pem), ("leaf.key", &credentials.key_pem)]
        {
            std::fs::write(folder.path().join(name), text).expect("a file");
        }
        let calls = self.calls();
        let mut client = tokio::process::Command::new("openssl")
            .args(["s_client", "-connect", &self.address.to_string(), "-tls1_3", "-alpn", "h2"])
            .args(["-cert", "leaf.pem", "-key", "leaf.key", "-cipher", "DEFAULT@SECLEVEL=0"])
            .current_dir(folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl runs");
        // It ends by itself when it hears the alert, and not before its input ends.
        let input = client.stdin.take();
        let output = within(client.wait_with_output()).await.expect("it ends");
        drop(input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("SSL alert number"), "{said}");
        assert_eq!((self.calls(), self.reloader.live()), (calls, 0));
    }

    async fn check_uris_refused(&self, uris: &[&str]) {
        let wished = uris.iter().map(|&uri| uri.to_owned()).collect();
        let forged = self.pki.forge(&Wish { uris: wished, ..Wish::good("acme-video") });
        let alert = self.alert(&forged).await;
        assert!(alert.contains("AccessDenied"), "{uris:?}: {alert}");
    }

    fn config(
        &self,
        credentials: &Credentials,
        groups: &[&'static dyn SupportedKxGroup],
    ) -> ClientConfig {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(credentials.certificate_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.as_bytes()).expect("a key");
        let config = builder(&self.pki, groups).with_client_auth_cert(chain.expect("a chain"), key);
        with_h2(config.expect("a fitting key"))
    }

    async fn dial(&self, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(HOST).expect("a name");
        within(TlsConnector::from(config).connect(name, socket)).await
    }

    async fn dial_and_read(&self, config: Arc<ClientConfig>) -> Result<(), String> {
        let words = |error: io::Error| tls::explain(&error).unwrap_or_else(|| error.to_string());
        let mut stream = self.dial(config).await.map_err(words)?;
        read_some(&mut stream).await.map_err(words)
    }

    async fn check_raw_refused(&self, config: ClientConfig, expected: &str) {
        let error = self.dial_and_read(config.into()).await.expect_err("a refusal");
        assert!(error.contains(expected), "{error:?} instead of {expected}");
    }

    async fn eventually(&self, holds: impl Fn(&Self) -> bool) {
        within(async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    fn calls(&self) -> usize {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn last_peer(&self) -> Arc<Peer> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(peers.last().expect("a call"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn remember(
    peers: Arc<Mutex<Vec<Arc<Peer>>>>,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
    move |request: Request<()>| {
        let peer = request.extensions().get::<Arc<Peer>>();
        let peer = peer.ok_or_else(|| Status::unauthenticated("no peer"))?;
        peers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(peer));
        Ok(request)
    }
}

/// Certificates that our own libraries would not make, by OpenSSL, from the same authority.
struct Openssl {
    folder: tempfile::TempDir,
    key: Vec<String>,
}

fn openssl(world: &World, key: &[&str]) -> Openssl {
    // OpenSSL dates by the machine's time, which runs on while the hub's stands.
    world.clock.advance(Duration::from_mins(10));
    let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let key = if key.is_empty() { &p256[..] } else { key };
    let key = key.iter().map(|&word| word.to_owned()).collect();
    let hands = Openssl { folder: tempfile::tempdir().expect("a folder"), key };
    hands.write("ca.pem", world.pki.ca.certificate_pem());
    hands.write("ca.key", world.pki.ca.key_pem());
    let uri = format!("subjectAltName=URI:spiffe://{TRUST_DOMAIN}/members/acme-video");
    hands.write(
        "leaf.ext",
        &format!("{uri}\nextendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n"),
    );
    hands
}

impl Openssl {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a file")
    }

    fn run(&self, arguments: &[&str]) {
        let output = std::process::Command::new("openssl")
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn request(&self, more: &[&str]) {
        let key: Vec<&str> = self.key.iter().map(String::as_str).collect();
        let first = ["req", "-new", "-nodes", "-subj", "/CN=acme-video", "-keyout", "leaf.key"];
        self.run(&[&first[..], &key, more].concat());
    }

    fn sign(&self, issuer: &str, more: &[&str]) {
        let (certificate, key) = (format!("{issuer}.pem"), format!("{issuer}.key"));
        let first = [
            "x509", "-req", "-in", "leaf.csr", "-days", "9", "-extfile", "leaf.ext", "-out",
            "leaf.pem",
        ];
        self.run(&[&first[..], &["-CA", &certificate, "-CAkey", &key], more].concat());
    }

    fn credentials(&self, chain: &str) -> Credentials {
        let certificate_pem = self.read("leaf.pem") + chain;
        Credentials { certificate_pem, key_pem: self.read("leaf.key"), serial: String::new() }
    }

    fn signed(&self, more: &[&str]) -> Credentials {
        self.request(&["-out", "leaf.csr"]);
        self.sign("ca", more);
        self.credentials("")
    }

    fn self_signed(&self) -> Credentials {
        let uri = format!("subjectAltName=URI:spiffe://{TRUST_DOMAIN}/members/acme-video");
        self.request(&[
            "-x509",
            "-days",
            "9",
            "-addext",
            &uri,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-out",
            "leaf.pem",
        ]);
        self.credentials("")
    }

    fn leaf_of(&self, issuer: &str, uri: &str) -> Credentials {
        self.write("leaf.ext", &format!("subjectAltName=URI:{uri}\nextendedKeyUsage=clientAuth\n"));
        self.request(&["-out", "leaf.csr"]);
        self.sign(issuer, &[]);
        self.credentials(&self.read(&format!("{issuer}.pem")))
    }
}

/// A clock that stands still until it is moved.
struct ManualClock(Mutex<SystemTime>);

impl ManualClock {
    /// At the machine's time, by which clients judge the hub's certificate.
    fn start() -> Arc<Self> {
        Arc::new(Self(Mutex::new(SystemClock::default().now().into())))
    }

    fn time(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.time().into()
    }

    fn monotonic(&self) -> Duration {
        self.time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

fn time_of(clock: &Arc<ManualClock>) -> Arc<dyn Clock> {
    Arc::<ManualClock>::clone(clock)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("no answer within the deadline")
}

async fn check_ends(stream: &mut Streaming<HealthCheckResponse>) {
    let end = within(async {
        loop {
            match stream.message().await {
                Ok(Some(_earlier)) => {}
                end => return end,
            }
        }
    });
    let status = end.await.expect_err("a connection that ends is an error to its streams");
    assert_ne!(status.code(), tonic::Code::Ok);
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder(pki: &Pki, groups: &[&'static dyn SupportedKxGroup]) -> Builder {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(pki.ca.certificate_pem().as_bytes()).expect("a CA");
    roots.add(ca).expect("a CA");
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
}

fn with_h2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn read_some(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let mut first = [0; 1];
    within(stream.read_exact(&mut first)).await.map(|_one| ())
}

/// The first frame of an HTTP/2 connection, which is that of the settings.
async fn settings_of(stream: &mut TlsStream<TcpStream>) -> io::Result<Vec<(u16, u32)>> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [high, middle, low, kind, ..] = head;
    assert_eq!(kind, 4, "not a SETTINGS frame");
    let length = u32::from_be_bytes([0, high, middle, low]);
    let mut settings = Vec::new();
    for _ in 0..length / 6 {
        settings.push((stream.read_u16().await?, stream.read_u32().await?));
    }
    Ok(settings)
}

/// As a client sends it that knows TLS 1.2 and nothing later.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]); // random
    hello.push(0); // session
    hello.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]); // ECDHE with AES-128-GCM
    hello.extend([1, 0]); // no compression
    let extensions = [
        [0, 10, 0, 4, 0, 2, 0, 23].as_slice(), // groups: P-256
        &[0, 11, 0, 2, 1, 0],                  // points: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],            // signatures: ECDSA P-256
    ]
    .concat();
    let short = |bytes: &[u8]| u16::try_from(bytes.len()).expect("a short message").to_be_bytes();
    hello.extend(short(&extensions));
    hello.extend(extensions);
    let mut record = vec![0x16, 3, 1];
    let mut message = vec![1, 0];
    message.extend(short(&hello));
    message.extend(hello);
    record.extend(short(&message));
    record.extend(message);
    record
}
