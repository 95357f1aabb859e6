/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_RENEWAL_H
#define CERTAUTO_ACME_RENEWAL_H

/* What a CA says about the renewal of a certificate, and what becomes of it. */

#include "acme/acme.h"
#include "acme/documents.h"

#define CERTAUTO__RENEWAL_ID_MAX 512 /* key identifier and serial have 20 bytes each */

struct certauto__renewal_document {
	int64_t start, end;         /* of the window: start < end */
	char *explanation_url;      /* https, fit to be shown; NULL */
};

void certauto__renewal_document_free(struct certauto__renewal_document *document);
int certauto__renewal_document_parse(struct certauto__renewal_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err);

/* What the CA has said about the certificate id; its explanation is taken. retry_after_s: -1 when
 * it has not said when to ask again. 1: the explanation is a new one. */
int certauto__renewal_take(struct certauto__renewal *renewal, const char *id,
	struct certauto__renewal_document *document, int64_t retry_after_s, int64_t now,
	certauto_error *err);

#endif
