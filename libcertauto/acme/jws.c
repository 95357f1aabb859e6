/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Signatures as ACME wants them: flattened, one signature, everything in the protected
 * header. Nonces come from peer.c, the signature itself from crypto/. */
#include "acme/jws.h"

#include <string.h>

#include "json/writer.h"

#define JWS_HEADER_MAX (8 * 1024) /* nonce and URLs are bounded, a key of 4096 bits has 700 bytes */

static int jws_header(certauto__buffer *out, const struct certauto__jws *jws)
{
	certauto__buffer jwk = CERTAUTO__BUFFER(JWS_HEADER_MAX);
	certauto__json w;
	int rc;

	certauto__json_start(&w, out, 0);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "alg", certauto__pkey_jws_alg(jws->key));
	if (jws->kid != NULL) {
		certauto__json_put_text(&w, "kid", jws->kid);
	} else {
		if ((rc = certauto__pkey_jwk(&jwk, jws->key)) < 0)
			goto out;
		certauto__json_key(&w, "jwk");
		certauto__json_raw(&w, certauto__buffer_text(&jwk));
	}
	if (jws->nonce != NULL)
		certauto__json_put_text(&w, "nonce", jws->nonce);
	certauto__json_put_text(&w, "url", jws->url);
	certauto__json_object_end(&w);
	rc = out->rc;
out:
	certauto__buffer_free(&jwk);
	return rc;
}

/* base64url of both parts with the dot between them: what is signed (RFC 7515 5.1). */
static int jws_signing_input(certauto__buffer *out, const certauto__buffer *header,
	const void *payload, size_t len, size_t *dot)
{
	int rc;

	if ((rc = certauto__base64url_encode(out, header->data, header->len)) < 0)
		return rc;
	*dot = out->len;
	if ((rc = certauto__buffer_add(out, ".", 1)) < 0)
		return rc;
	return certauto__base64url_encode(out, payload, len);
}

static int jws_write(certauto__buffer *out, const certauto__buffer *input, size_t dot,
	const certauto__buffer *raw)
{
	certauto__buffer signature = CERTAUTO__BUFFER(2048);
	certauto__json w;
	int rc;

	if ((rc = certauto__base64url_encode(&signature, raw->data, raw->len)) == 0) {
		certauto__json_start(&w, out, 0);
		certauto__json_object(&w);
		certauto__json_key(&w, "protected");
		certauto__json_text_len(&w, input->data, dot);
		certauto__json_key(&w, "payload");
		certauto__json_text_len(&w, input->data + dot + 1, input->len - dot - 1);
		certauto__json_put_text(&w, "signature", certauto__buffer_text(&signature));
		certauto__json_object_end(&w);
		rc = out->rc;
	}
	certauto__buffer_free(&signature);
	return rc;
}

int certauto__jws_add(certauto__buffer *out, const struct certauto__jws *jws, const void *payload,
	size_t len, certauto_error *err)
{
	certauto__buffer input = CERTAUTO__BUFFER(out->max), raw = CERTAUTO__BUFFER(1024);
	certauto__buffer header = CERTAUTO__BUFFER(JWS_HEADER_MAX);
	size_t dot = 0;
	int rc;

	if ((rc = jws_header(&header, jws)) < 0 ||
	    (rc = jws_signing_input(&input, &header, payload, len, &dot)) < 0 ||
	    (rc = certauto__pkey_jws_sign(&raw, jws->key, input.data, input.len, err)) < 0)
		goto out;
	rc = jws_write(out, &input, dot, &raw);
out:
	certauto__buffer_free(&header);
	certauto__buffer_free(&input);
	certauto__buffer_free(&raw);
	return certauto__error_set(
		err, rc, jws->url, "cannot sign a request: %s", certauto_error_text(rc));
}

int certauto__jws_add_binding(certauto__buffer *out, const char *alg, const char *kid,
	const certauto__secret *mac_key, const char *url, const certauto__pkey *account,
	certauto_error *err)
{
	certauto__buffer input = CERTAUTO__BUFFER(out->max), mac = CERTAUTO__BUFFER(64);
	certauto__buffer header = CERTAUTO__BUFFER(JWS_HEADER_MAX);
	certauto__buffer jwk = CERTAUTO__BUFFER(JWS_HEADER_MAX);
	certauto__json w;
	size_t dot = 0;
	int rc;

	certauto__json_start(&w, &header, 0);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "alg", alg);
	certauto__json_put_text(&w, "kid", kid);
	certauto__json_put_text(&w, "url", url);
	certauto__json_object_end(&w);
	if ((rc = header.rc) < 0 || (rc = certauto__pkey_jwk(&jwk, account)) < 0 ||
	    (rc = jws_signing_input(&input, &header, jwk.data, jwk.len, &dot)) < 0 ||
	    (rc = certauto__hmac(&mac, alg, mac_key, input.data, input.len)) < 0)
		goto out;
	rc = jws_write(out, &input, dot, &mac);
out:
	certauto__buffer_free(&header);
	certauto__buffer_free(&jwk);
	certauto__buffer_free(&input);
	certauto__buffer_free(&mac);
	return certauto__error_set(
		err, rc, url, "cannot bind the account: %s", certauto_error_text(rc));
}

int certauto__key_authorization(certauto__buffer *out, const certauto__pkey *key, const char *token)
{
	certauto__buffer thumbprint = CERTAUTO__BUFFER(64);
	int rc;

	if ((rc = certauto__pkey_thumbprint(&thumbprint, key)) == 0)
		rc = certauto__buffer_printf(
			out, "%s.%s", token, certauto__buffer_text(&thumbprint));
	certauto__buffer_free(&thumbprint);
	return rc;
}

int certauto__token_check(const char *token)
{
	size_t len = token != NULL ? strlen(token) : 0;

	return len >= 22 && len <= 255 && certauto__base64url_valid(token, len);
}

int certauto__nonce_check(const char *nonce)
{
	size_t len = nonce != NULL ? strlen(nonce) : 0;

	return len >= 1 && len <= 255 && certauto__base64url_valid(nonce, len);
}
