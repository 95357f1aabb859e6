/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_CRYPTO_H
#define CERTAUTO_CRYPTO_CRYPTO_H

/* Keys, signing requests, certificates, digests. The only folder that sees mbedTLS; what differs
 * between its 2.28 and 3.6 is settled in mbed_compat.h. The objects here carry no context and no
 * reference count: the public nouns (key.c, csr.c, chain.c of the public face) wrap them. */

#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/error.h"
#include "core/secret.h"
#include "core/text.h"

/* ---- random, digests ---- */

/* CTR_DRBG seeded by getrandom(2), or getrandom itself; fork-safe */
int certauto__random(void *out, size_t len, certauto_error *err);
int certauto__random_hex(char *out, size_t n_bytes, certauto_error *err); /* out: 2 * n_bytes + 1 */
void certauto__sha256(unsigned char out[32], const void *data, size_t len);
int certauto__sha256_hex(char out[65], const void *data, size_t len);
/* HMAC (RFC 2104) appended to out. alg as JOSE calls it: "HS256" "HS384" "HS512"; EINVAL. */
int certauto__hmac(certauto__buffer *out, const char *alg, const certauto__secret *key,
	const void *data, size_t len);

/* ---- key types: "ecdsa-p256" "ecdsa-p384" "rsa-2048" "rsa-3072" "rsa-4096" ---- */

int certauto__key_type_check(const char *type, certauto_error *err); /* EINVAL lists the types */
const char *const *certauto__key_types(void);                        /* NULL-terminated */

/* ---- keys ---- */

typedef struct certauto__pkey certauto__pkey; /* a private key, or only its public half plus a
                                                 signer */

/* Answers one signature from outside (HSM). alg: "ES256" "ES384" "RS256"; digest is hashed already.
 * Writes fixed-width r||s for EC, the PKCS#1 v1.5 block for RSA. 0 or a negative code. */
typedef int (*certauto__sign_fn)(void *arg, const char *alg, const unsigned char *digest,
	size_t digest_len, certauto__buffer *signature, certauto_error *err);

int certauto__pkey_new(certauto__pkey **out, const char *type, certauto_error *err);
/* PKCS#8, SEC1 or PKCS#1; PEM or DER; unencrypted. Exactly one key. EINVAL tells what is wrong
 * (truncated, encrypted, a certificate or public key instead, unsupported curve or size). */
int certauto__pkey_parse(certauto__pkey **out, const void *data, size_t len, certauto_error *err);
/* One that we made and kept ourselves: that its halves belong together is not computed again, which
 * would cost as much as a signature. */
int certauto__pkey_parse_own(certauto__pkey **out, const void *data, size_t len,
	certauto_error *err);
int certauto__pkey_new_signer(certauto__pkey **out, const void *spki, size_t len,
	certauto__sign_fn sign, void *arg, certauto_error *err);
void certauto__pkey_free(certauto__pkey *key);
const char *certauto__pkey_type(const certauto__pkey *key);          /* static */
int certauto__pkey_is_signer(const certauto__pkey *key);
/* Unencrypted PKCS#8 PEM ("BEGIN PRIVATE KEY") into a new secret. EUNSUPPORTED for a signer. */
int certauto__pkey_format(certauto__secret **out, const certauto__pkey *key, certauto_error *err);
/* Encrypted PKCS#8 PEM ("BEGIN ENCRYPTED PRIVATE KEY") and what it is encrypted with, 24 characters
 * of base64url, into an empty buffer, which becomes a secret one. The same for the same key every
 * time. EUNSUPPORTED for a signer. */
int certauto__pkey_format_encrypted(certauto__buffer *pem_out, certauto__buffer *passphrase_out,
	const certauto__pkey *key, certauto_error *err);
/* SubjectPublicKeyInfo DER */
int certauto__pkey_public_der(certauto__buffer *out, const certauto__pkey *key);
/* equal public halves: 1 */
int certauto__pkey_same(const certauto__pkey *a, const certauto__pkey *b);

/* ---- JWS needs (RFC 7515, 7518, 7638) ---- */

const char *certauto__pkey_jws_alg(const certauto__pkey *key);       /* "ES256" "ES384" "RS256" */
/* The JWK with members in the order of RFC 7638 and no spaces:
 * {"crv":"P-256","kty":"EC","x":..,"y":..} */
int certauto__pkey_jwk(certauto__buffer *out, const certauto__pkey *key);
/* base64url(SHA-256(jwk)) */
int certauto__pkey_thumbprint(certauto__buffer *out, const certauto__pkey *key);
/* Signs data with the key's JWS algorithm: EC as fixed-width r||s, RSA PKCS#1 v1.5 with SHA-256. */
int certauto__pkey_jws_sign(certauto__buffer *out, const certauto__pkey *key, const void *data,
	size_t len, certauto_error *err);

/* ---- certificate signing requests ---- */

typedef struct certauto__req certauto__req;

struct certauto__subject {       /* all optional */
	const char *common_name;
	const char *const *others;   /* pairs of attribute name and value, e.g. "O", "Example",
	                                NULL-terminated */
};

/* SAN from names: DNS names, "*." wildcards, IPv4/IPv6 literals as iPAddress. No EKU. Empty subject
 * when subject is NULL. EINVAL names the bad or doubled name. */
int certauto__req_new(certauto__req **out, const certauto__pkey *key, const certauto__list *names,
	const struct certauto__subject *subject, certauto_error *err);
/* PEM or DER; the signature is verified; names are SAN dNSName and iPAddress entries, plus the CN
 * if it is a DNS name or there is no SAN at all. EINVAL. */
int certauto__req_parse(certauto__req **out, const void *data, size_t len, certauto_error *err);
/* One that we made and kept ourselves: its signature is not verified again. */
int certauto__req_parse_own(certauto__req **out, const void *data, size_t len, certauto_error *err);
void certauto__req_free(certauto__req *req);
int certauto__req_copy(certauto__req **out, const certauto__req *req);
int certauto__req_format(certauto__buffer *out, const certauto__req *req);       /* PEM */
const unsigned char *certauto__req_der(const certauto__req *req, size_t *len);   /* borrowed */
/* borrowed; lower case */
const certauto__list *certauto__req_names(const certauto__req *req);
const char *certauto__req_common_name(const certauto__req *req);                 /* NULL if none */
/* 1 if it is that key's */
int certauto__req_has_key(const certauto__req *req, const certauto__pkey *key);

/* ---- certificates ---- */

typedef struct certauto__certs certauto__certs; /* a chain, leaf first */

/* Only CERTIFICATE PEM blocks and white space; a single DER certificate is taken too. Bounded by
 * max_certs (0 = 10) and 64 KiB a certificate. ECERT tells what is wrong. */
int certauto__certs_parse(certauto__certs **out, const void *data, size_t len, size_t max_certs,
	certauto_error *err);
void certauto__certs_free(certauto__certs *certs);
size_t certauto__certs_n(const certauto__certs *certs);

struct certauto__cert_info {     /* all borrowed from the chain */
	const unsigned char *der;
	size_t der_len;
	const char *serial;          /* lower-case hex, as in the certificate's INTEGER without a
	                                sign byte */
	const char *fingerprint;     /* SHA-256 of the DER, lower-case hex */
	const char *issuer;          /* "CN=..., O=..." escaped for display */
	const char *issuer_cn;       /* NULL if none */
	const char *subject;
	const char *subject_cn;
	const certauto__list *names; /* SAN dNSName and iPAddress, lower case */
	int64_t not_before, not_after;
	int is_ca;
	int has_constraints;         /* it says whether it is a CA */
	const char *key_type;        /* "ecdsa-p256", ..., "rsa-2048", or "other" */
	const char *key_algorithm;   /* "RSA", "EC", ... */
	size_t key_bits;
	const char *signature;       /* "RSA with SHA-256", ..., or "other" */
	const char *aki;             /* hex of the authority key identifier, NULL if none */
	const char *ski;             /* hex, NULL if none */
};

/* NULL past the end */
const struct certauto__cert_info *certauto__certs_info(const certauto__certs *certs, size_t i);
enum { CERTAUTO__PART_LEAF = 1, CERTAUTO__PART_INTERMEDIATES = 2, CERTAUTO__PART_FULL = 3 };
/* Normalised PEM: 64 columns, no blank lines, each block ending in one newline. */
int certauto__certs_format(certauto__buffer *out, const certauto__certs *certs, int part);
int certauto__certs_has_key(const certauto__certs *certs, const certauto__pkey *key);
int certauto__certs_has_spki(const certauto__certs *certs, const void *spki, size_t len);
int certauto__certs_has_req(const certauto__certs *certs, const certauto__req *req);
/* 1 if certificate j has the name of i's issuer and has signed it; 0; or ENOMEM. */
int certauto__certs_is_signed(const certauto__certs *certs, size_t i, size_t j);
/* Appends "sha256//BASE64" of the leaf's key. */
int certauto__certs_pin(certauto__buffer *out, const certauto__certs *certs);
int certauto__certs_pin_of(certauto__buffer *out, const certauto__certs *certs, size_t i);

/* The acceptance checks before a certificate may replace another, in this order: leaf key is the
 * CSR's (or key's, when given); SAN set equals names; not CA:TRUE; serverAuth allowed; notBefore <=
 * now + 1 h, notAfter > now + 1 h, (max_life_s > 0: lifetime <= that + 10 %); each certificate
 * signs the one before; signatures not SHA-1 or MD5 (of the leaf and intermediates). CERTAUTO_ECERT
 * says which check failed and with what values. key or req may be NULL, not both. verifier (may be
 * NULL) is for who checks the chains of one CA again and again: it keeps what was computed for that
 * CA's key. */
struct certauto__verifier;
int certauto__certs_check(const certauto__certs *certs, const certauto__pkey *key,
	const certauto__req *req, const certauto__list *names, int64_t now, int64_t max_life_s,
	struct certauto__verifier *verifier, certauto_error *err);
struct certauto__verifier *certauto__verifier_new(void); /* NULL: no memory */
void certauto__verifier_free(struct certauto__verifier *verifier);

/* ---- making certificates (self-signed, and a small CA for tests and private use) ---- */

/* subject and names from the CSR; CA:FALSE, keyUsage digitalSignature (+ keyEncipherment for RSA),
 * EKU serverAuth, SKI, random 16-byte positive serial, SHA-256. Self-signed by key. */
int certauto__certs_self_signed(certauto__certs **out, const certauto__pkey *key,
	const certauto__req *req, int64_t not_before, int64_t not_after, certauto_error *err);
/* What answers tls-alpn-01 (RFC 8737): a new key and a certificate of its own for that one name or
 * address, with the digest of the key authorization in the critical extension acmeIdentifier. */
int certauto__certs_challenge(certauto__certs **certs_out, certauto__pkey **key_out,
	const char *name, const unsigned char digest[32], certauto_error *err);
/* As certauto__certs_self_signed(), signed by ca_key under ca (its leaf); chain = new leaf + ca
 * unless ca is self-signed. */
int certauto__certs_signed(certauto__certs **out, const certauto__certs *ca,
	const certauto__pkey *ca_key, const certauto__req *req, int64_t not_before,
	int64_t not_after, certauto_error *err);

#endif
