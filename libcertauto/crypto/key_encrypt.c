/* SPDX-License-Identifier: Apache-2.0 */
/* A private key as encrypted PKCS#8 (RFC 5958, RFC 8018: PBES2, PBKDF2 with HMAC-SHA-256,
 * AES-256-CBC), for devices that keep keys under a passphrase.
 *
 * Passphrase, salt and initialisation vector are drawn from the key itself, each by an HMAC of its
 * own: the same key gives the same bytes every time, so that an upload can be repeated and
 * compared, and nothing besides the key need be kept. Who has the passphrase learns nothing about
 * the key. */

#include <mbedtls/aes.h>
#include <string.h>

#include "core/memory.h"
#include "crypto/pem.h"
#include "crypto/pkey.h"

/* The passphrase has 144 random bits: iterations, which make guessing slow, add nothing to it. This
 * is what OpenSSL takes, and a device with a slow processor. */
#define ITERATIONS 2048
#define SALT_LEN 16
#define PASSPHRASE_LEN 18 /* 24 characters: some devices take 31 at most */
#define KEY_LEN 32
#define BLOCK 16

#define OID_AES_256_CBC "\x60\x86\x48\x01\x65\x03\x04\x01\x2A"

struct seal {
	unsigned char salt[32], iv[32], secret[32]; /* as HMAC gives them; the first bytes count */
	certauto__buffer der;                       /* what is encrypted, padded */
};

static int draw(unsigned char out[32], const certauto__secret *key, const char *what)
{
	certauto__buffer mac = CERTAUTO__BUFFER(64);
	int rc;

	mac.secret = 1;
	if ((rc = certauto__hmac(&mac, "HS256", key, what, strlen(what))) == 0)
		memcpy(out, mac.data, 32);
	certauto__buffer_free(&mac);
	return rc;
}

/* The key's DER, and what is drawn from it. */
static int seal_open(struct seal *seal, const certauto__pkey *key, certauto_error *err)
{
	static const char *const labels[] = {"PRIVATE KEY", NULL};
	certauto__secret *pem = NULL, *plain = NULL;
	const unsigned char *der;
	size_t len;
	int rc;

	if ((rc = certauto__pkey_format(&pem, key, err)) < 0 ||
		(rc = certauto__pem_or_der(&der, &len, &seal->der, certauto__secret_data(pem),
			 certauto__secret_len(pem), labels, "the key", err)) < 0)
		goto out;
	if ((rc = certauto__secret_new(&plain, der, len)) < 0 ||
		(rc = draw(seal->salt, plain, "certauto encrypted key: salt")) < 0 ||
		(rc = draw(seal->iv, plain, "certauto encrypted key: vector")) < 0 ||
		(rc = draw(seal->secret, plain, "certauto encrypted key: passphrase")) < 0)
		certauto__error_nomem(err);
out:
	certauto__secret_free(pem);
	certauto__secret_free(plain);
	return rc;
}

/* RFC 8018 6.1.1: one to sixteen bytes, each their number. */
static int seal_pad(struct seal *seal)
{
	unsigned char pad[BLOCK];
	size_t n = BLOCK - seal->der.len % BLOCK;

	memset(pad, (int)n, sizeof(pad));
	return certauto__buffer_add(&seal->der, pad, n);
}

/* In place. */
static int seal_encrypt(struct seal *seal, const certauto__buffer *passphrase)
{
	unsigned char key[KEY_LEN], iv[BLOCK], *data = (unsigned char *)seal->der.data;
	mbedtls_aes_context aes;
	int ret;

	mbedtls_aes_init(&aes);
	memcpy(iv, seal->iv, sizeof(iv)); /* it is moved on */
	ret = certauto__mbed_pbkdf2((const unsigned char *)passphrase->data, passphrase->len,
		seal->salt, SALT_LEN, ITERATIONS, key, sizeof(key));
	if (ret == 0)
		ret = mbedtls_aes_setkey_enc(&aes, key, 8 * KEY_LEN);
	if (ret == 0)
		ret = mbedtls_aes_crypt_cbc(
			&aes, MBEDTLS_AES_ENCRYPT, seal->der.len, iv, data, data);
	mbedtls_aes_free(&aes);
	certauto__wipe(key, sizeof(key));
	return ret;
}

static void add_kdf(certauto__buffer *out, const struct seal *seal)
{
	static const unsigned char iterations[] = {ITERATIONS >> 8, ITERATIONS & 0xFF};
	size_t kdf, params, prf;

	kdf = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(out, CERTAUTO__OID(MBEDTLS_OID_PKCS5_PBKDF2));
	params = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	certauto__der_add(out, MBEDTLS_ASN1_OCTET_STRING, seal->salt, SALT_LEN);
	certauto__der_add_uint(out, iterations, sizeof(iterations));
	prf = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(out, CERTAUTO__OID(MBEDTLS_OID_HMAC_SHA256));
	certauto__der_add(out, MBEDTLS_ASN1_NULL, NULL, 0);
	certauto__der_close(out, prf);
	certauto__der_close(out, params);
	certauto__der_close(out, kdf);
}

/* EncryptedPrivateKeyInfo */
static void seal_write(certauto__buffer *out, const struct seal *seal)
{
	size_t whole, algorithm, params, cipher;

	whole = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	algorithm = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(out, CERTAUTO__OID(MBEDTLS_OID_PKCS5_PBES2));
	params = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	add_kdf(out, seal);
	cipher = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(out, CERTAUTO__OID(OID_AES_256_CBC));
	certauto__der_add(out, MBEDTLS_ASN1_OCTET_STRING, seal->iv, BLOCK);
	certauto__der_close(out, cipher);
	certauto__der_close(out, params);
	certauto__der_close(out, algorithm);
	certauto__der_add(out, MBEDTLS_ASN1_OCTET_STRING, seal->der.data, seal->der.len);
	certauto__der_close(out, whole);
}

int certauto__pkey_format_encrypted(certauto__buffer *pem_out, certauto__buffer *passphrase_out,
	const certauto__pkey *key, certauto_error *err)
{
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	struct seal seal = {.der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX)};
	int ret, rc;

	seal.der.secret = passphrase_out->secret = 1;
	if ((rc = seal_open(&seal, key, err)) < 0)
		goto out;
	if ((rc = seal_pad(&seal)) < 0 || (rc = certauto__base64url_encode(passphrase_out,
						   seal.secret, PASSPHRASE_LEN)) < 0) {
		certauto__error_nomem(err);
		goto out;
	}
	if ((ret = seal_encrypt(&seal, passphrase_out)) != 0) {
		rc = certauto__mbed_error(err, ret, CERTAUTO_EIO, "the key cannot be encrypted");
		goto out;
	}
	seal_write(&der, &seal);
	certauto__pem_add(pem_out, "ENCRYPTED PRIVATE KEY", der.data, der.len);
	if ((rc = der.rc) < 0 || (rc = pem_out->rc) < 0)
		certauto__error_nomem(err);
out:
	certauto__buffer_free(&der);
	certauto__buffer_free(&seal.der);
	certauto__wipe(&seal, sizeof(seal));
	return rc;
}
