/* SPDX-License-Identifier: Apache-2.0 */
/* What certificates on the managers are called: display names there need not be unique, so that the
 * name has the digest of the leaf in it. */

#include "targets/nsx.h"

#include <stdio.h>
#include <string.h>

#define DIGITS 12 /* hex digits of the leaf's SHA-256 */

const certauto_target *certauto__nsx_target(const certauto_job *job)
{
	const struct certauto__table *table = certauto__job_table(job);
	const void *env = certauto__job_env(job);

	if (table == &certauto__nsx_csr || table == &certauto__nsx_test)
		return env;
	return ((const struct certauto__deployment *)env)->target;
}

/* "PREFIX-NAME-KEY-" */
static void stem(char out[CERTAUTO__NSX_NAME], const struct certauto__deployment *deployment)
{
	(void)snprintf(out, CERTAUTO__NSX_NAME, "%s-%.160s-%s-",
		certauto__option_text(deployment->target, "name_prefix"), deployment->name,
		deployment->key_type);
}

void certauto__nsx_certificate(char out[CERTAUTO__NSX_NAME],
	const struct certauto__deployment *deployment)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(deployment->chain, 0);
	size_t len;

	stem(out, deployment);
	len = strlen(out);
	(void)snprintf(out + len, CERTAUTO__NSX_NAME - len, "%.*s", DIGITS, leaf->fingerprint);
}

int certauto__nsx_is_own(const char *name, const struct certauto__deployment *deployment)
{
	char own[CERTAUTO__NSX_NAME];

	stem(own, deployment);
	if (!certauto__text_starts(name, own))
		return 0;
	name += strlen(own);
	return strspn(name, "0123456789abcdef") == DIGITS && name[DIGITS] == '\0';
}
