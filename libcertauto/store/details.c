/* SPDX-License-Identifier: Apache-2.0 */
/* What there is to know of a certificate, as JSON, for those who look at one. It is here and not
 * with the noun chain because crypto/ knows no JSON. */

#include <certauto/chain.h>

#include "core/context.h"
#include "core/memory.h"
#include "crypto/objects.h"
#include "json/writer.h"

#define DETAILS_MAX (1024 * 1024)

/* Whether j has signed i. */
static void put_signed(certauto__json *w, const char *key, const certauto__certs *certs, size_t i,
	size_t j)
{
	int is_signed = certauto__certs_is_signed(certs, i, j);

	if (is_signed < 0)
		w->out->rc = is_signed;
	else
		certauto__json_put_bool(w, key, is_signed);
}

static void put_pin(certauto__json *w, const certauto__certs *certs, size_t i)
{
	certauto__buffer pin = CERTAUTO__BUFFER(128);
	int rc = certauto__certs_pin_of(&pin, certs, i);

	if (rc < 0)
		w->out->rc = rc;
	else
		certauto__json_put_text(w, "pin", certauto__buffer_text(&pin));
	certauto__buffer_free(&pin);
}

static void put_cert(certauto__json *w, const certauto__certs *certs, size_t i)
{
	const struct certauto__cert_info *info = certauto__certs_info(certs, i);

	certauto__json_object(w);
	certauto__json_put_text(w, "subject", info->subject);
	certauto__json_put_text(w, "issuer", info->issuer);
	certauto__json_put_text(w, "serial", info->serial);
	certauto__json_put_list(w, "names", info->names);
	certauto__json_put_number(w, "not_before", info->not_before);
	certauto__json_put_number(w, "not_after", info->not_after);
	if (info->has_constraints)
		certauto__json_put_bool(w, "ca", info->is_ca);
	else
		certauto__json_put_null(w, "ca");
	certauto__json_put_text(w, "key", info->key_algorithm);
	certauto__json_put_number(w, "key_bits", (int64_t)info->key_bits);
	certauto__json_put_text(w, "signature", info->signature);
	certauto__json_put_text(w, "sha256", info->fingerprint);
	put_pin(w, certs, i);
	put_signed(w, "self_signed", certs, i, i);
	if (i + 1 < certauto__certs_n(certs))
		put_signed(w, "signed_by_next", certs, i, i + 1);
	else
		certauto__json_put_null(w, "signed_by_next");
	certauto__json_object_end(w);
}

int certauto_chain_dup_details(char **out, const certauto_chain *chain)
{
	certauto__buffer text = CERTAUTO__BUFFER(DETAILS_MAX);
	certauto_context *cx = certauto_chain_context(chain);
	certauto__json w;
	size_t i;
	int rc;

	if (cx == NULL || out == NULL)
		return CERTAUTO_EINVAL;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	certauto__json_start(&w, &text, 0);
	certauto__json_array(&w);
	for (i = 0; i < certauto__certs_n(chain->certs); i++)
		put_cert(&w, chain->certs, i);
	certauto__json_array_end(&w);
	if ((rc = text.rc) == 0 &&
	    (*out = certauto__give(certauto__buffer_text(&text), text.len)) == NULL)
		rc = CERTAUTO_ENOMEM;
	if (rc < 0)
		rc = certauto__error_set(&cx->error, rc, NULL, "%s", certauto_error_text(rc));
	certauto__buffer_free(&text);
	return certauto__leave(cx, rc);
}
