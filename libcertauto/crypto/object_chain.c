/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun chain. */
#include "crypto/objects.h"

#include <string.h>

#include "core/clock.h"
#include "core/context.h"
#include "core/memory.h"

#define CHAIN_MAX (2 * 1024 * 1024)

static void chain_destroy(void *object)
{
	certauto__certs_free(((certauto_chain *)object)->certs);
}

int certauto__chain_wrap(certauto_chain **out, certauto_context *cx, certauto__certs *certs,
	certauto_error *err)
{
	certauto_chain *chain = certauto__object_new(cx, sizeof(*chain), chain_destroy);

	if (chain == NULL) {
		certauto__certs_free(certs);
		return certauto__error_nomem(err);
	}
	chain->certs = certs;
	*out = chain;
	return 0;
}

int certauto_chain_parse(certauto_chain **out, certauto_context *cx, const unsigned char *data,
	size_t data_len)
{
	certauto__certs *certs;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || data == NULL)
		rc = CERTAUTO_EINVAL;
	else if ((rc = certauto__certs_parse(&certs, data, data_len, 0, &cx->error)) == 0)
		rc = certauto__chain_wrap(out, cx, certs, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_chain_format(unsigned char **out, size_t *out_len, const certauto_chain *chain,
	int part)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CHAIN_MAX);
	certauto_context *cx;
	int rc;

	if (chain == NULL || out == NULL || out_len == NULL)
		return CERTAUTO_EINVAL;
	cx = chain->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (part < CERTAUTO_CHAIN_LEAF || part > CERTAUTO_CHAIN_FULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"part %d of a chain is none of CERTAUTO_CHAIN_LEAF, _INTERMEDIATES, _FULL",
			part);
	else
		rc = certauto__certs_format(&pem, chain->certs, part);
	if (rc == 0) {
		if ((*out = certauto__give(certauto__buffer_text(&pem), pem.len)) == NULL)
			rc = certauto__error_nomem(&cx->error);
		else
			*out_len = pem.len;
	}
	certauto__buffer_free(&pem);
	return certauto__leave(cx, rc);
}

int certauto_chain_new_self_signed(certauto_chain **out, certauto_key *key, certauto_csr *csr,
	int64_t not_after_at)
{
	certauto__certs *certs;
	certauto_context *cx;
	int64_t now;
	int rc;

	if (out == NULL || key == NULL || csr == NULL || key->object.cx != csr->object.cx)
		return CERTAUTO_EINVAL;
	cx = key->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	now = certauto__clock_now();
	if (not_after_at <= now)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"the end of validity has passed already");
	else if ((rc = certauto__certs_self_signed(&certs, key->pkey, csr->req, now,
	    not_after_at, &cx->error)) == 0)
		rc = certauto__chain_wrap(out, cx, certs, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_chain_check(certauto_chain *chain, certauto_key *key, const char *const *names,
	size_t n_names)
{
	certauto__list list = { NULL, 0, 0 };
	certauto_context *cx;
	size_t i;
	int rc;

	if (chain == NULL || key == NULL || (names == NULL && n_names > 0))
		return CERTAUTO_EINVAL;
	cx = chain->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	for (i = 0; i < n_names && rc == 0; i++)
		rc = names[i] != NULL ? certauto__list_add_text(&list, names[i]) : CERTAUTO_EINVAL;
	if (rc == 0)
		rc = certauto__certs_check(chain->certs, key->pkey, NULL, &list,
			certauto__clock_now(), 0, NULL, &cx->error);
	certauto__list_free(&list);
	return certauto__leave(cx, rc);
}

/* ---- properties, of the leaf ---- */

static const struct certauto__cert_info *leaf(const certauto_chain *chain)
{
	return chain != NULL ? certauto__certs_info(chain->certs, 0) : NULL;
}

size_t certauto_chain_n_certs(const certauto_chain *chain)
{
	return chain != NULL ? certauto__certs_n(chain->certs) : 0;
}

size_t certauto_chain_n_names(const certauto_chain *chain)
{
	return leaf(chain) != NULL ? leaf(chain)->names->n : 0;
}

const char *certauto_chain_name(const certauto_chain *chain, size_t i)
{
	return i < certauto_chain_n_names(chain) ? leaf(chain)->names->items[i] : NULL;
}

const char *certauto_chain_serial(const certauto_chain *chain)
{
	return leaf(chain) != NULL ? leaf(chain)->serial : NULL;
}

const char *certauto_chain_fingerprint(const certauto_chain *chain)
{
	return leaf(chain) != NULL ? leaf(chain)->fingerprint : NULL;
}

const char *certauto_chain_issuer(const certauto_chain *chain)
{
	return leaf(chain) != NULL ? leaf(chain)->issuer : NULL;
}

int64_t certauto_chain_not_before_at(const certauto_chain *chain)
{
	return leaf(chain) != NULL ? leaf(chain)->not_before : 0;
}

int64_t certauto_chain_not_after_at(const certauto_chain *chain)
{
	return leaf(chain) != NULL ? leaf(chain)->not_after : 0;
}

certauto_context *certauto_chain_context(const certauto_chain *chain)
{
	return chain != NULL ? chain->object.cx : NULL;
}

void certauto_chain_free(certauto_chain *chain)
{
	certauto__object_unref(chain);
}
