/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates of ours are called on the ELB, and whose target a job is of. */

#include "targets/fe.h"

#include <stdio.h>
#include <string.h>

#include "crypto/crypto.h"

#define DIGEST 12   /* hex digits of a certificate's fingerprint */

void certauto__fe_certificate(char out[CERTAUTO__FE_NAME],
	const struct certauto__deployment *deployment, const certauto__certs *leaf)
{
	const char *own = certauto__option_text(deployment->target, "certificate");
	size_t len;

	if (own == NULL)
		(void)snprintf(out, CERTAUTO__FE_NAME, "%s-%s-%s",
			certauto__option_text(deployment->target, "prefix"), deployment->name,
			deployment->key_type);
	else if (deployment->n_keys > 1)
		(void)snprintf(out, CERTAUTO__FE_NAME, "%s-%s", own, deployment->key_type);
	else
		(void)snprintf(out, CERTAUTO__FE_NAME, "%s", own);
	len = strlen(out);
	if (leaf != NULL)
		(void)snprintf(out + len, CERTAUTO__FE_NAME - len, "-%.*s", DIGEST,
			certauto__certs_info(leaf, 0)->fingerprint);
}
