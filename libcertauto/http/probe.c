/* SPDX-License-Identifier: Apache-2.0 */

/* A probe looks at the certificate a server shows: which key it asks for, and the leaf it got.
 * libcurl hands certificates out as PEM only, and mbedTLS is not visible here: base64 is undone by
 * hand. */

#include <string.h>

#include "http/private.h"

#define LEAF_MAX (64 * 1024)

/* Everything that proves possession of a key of that type, not only what is in fashion: a listener
 * is asked what it would show to a client that knows no other type. Nothing is sent over the
 * connection. */
static const struct certauto__probe_key probe_keys[] = {
	{ "ecdsa",
	  "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512",
	  "ECDHE+aECDSA:!eNULL" },
	{ "rsa",
	  "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
	  "rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512",
	  "ECDHE+aRSA:DHE+aRSA:kRSA:!eNULL" },
};

const struct certauto__probe_key *certauto__probe_key_find(const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(probe_keys) / sizeof(probe_keys[0]); i++)
		if (strcmp(key, probe_keys[i].key) == 0)
			return &probe_keys[i];
	return NULL;
}

static int base64_value(int c)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* The first block of pem, to DER. */
static int pem_decode(certauto__buffer *out, const char *pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	const char *p = strstr(pem, begin);
	unsigned bits = 0, n_bits = 0;
	int value;

	if (p == NULL)
		return CERTAUTO_EPROTO;
	for (p += strlen(begin); *p != '\0' && *p != '-' && *p != '='; p++) {
		if ((value = base64_value(*p)) < 0)
			continue; /* line ends */
		bits = (bits << 6 | (unsigned)value) & 0xffff;
		n_bits += 6;
		if (n_bits >= 8) {
			unsigned char byte = (unsigned char)(bits >> (n_bits -= 8));

			certauto__buffer_add(out, &byte, 1);
		}
	}
	return out->rc;
}

int certauto__probe_take_leaf(certauto__transfer *t)
{
	static const char label[] = "Cert:";
	struct curl_certinfo *info = NULL;
	struct curl_slist *field;
	int rc = CERTAUTO_EPROTO;

	certauto__buffer_init(&t->leaf, LEAF_MAX);
	curl_easy_getinfo(t->slot->easy, CURLINFO_CERTINFO, &info);
	field = info != NULL && info->num_of_certs > 0 ? info->certinfo[0] : NULL;
	while (field != NULL && strncmp(field->data, label, strlen(label)) != 0)
		field = field->next;
	if (field != NULL)
		rc = pem_decode(&t->leaf, field->data + strlen(label));
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(&t->error);
	if (rc < 0 || t->leaf.len == 0)
		return certauto__failure_set(t, CERTAUTO_ETLS, "the peer showed no certificate");
	return 0;
}

const unsigned char *certauto__transfer_leaf(const certauto__transfer *t, size_t *len)
{
	*len = t->leaf.len;
	return t->leaf.len > 0 ? (const unsigned char *)t->leaf.data : NULL;
}
