//! Making certificates, certificate requests and revocation lists.
