/* SPDX-License-Identifier: Apache-2.0 */
/* What objects on the controller are called. */

#include "targets/avi.h"

#include <stdio.h>
#include <string.h>

#include "targets/device.h"

#define CA_DIGITS 16 /* hex digits of key identifier and digest: names have room here */

const certauto_target *certauto__avi_target(const certauto_job *job)
{
	const void *env = certauto__job_env(job);

	if (certauto__job_table(job) == &certauto__avi_deploy)
		return ((const struct certauto__deployment *)env)->target;
	return env;
}

void certauto__avi_answer(char out[CERTAUTO__AVI_NAME], const certauto_target *target,
	const char *name, const char *token, int64_t now)
{
	certauto__device_answer(out, CERTAUTO__AVI_NAME, target, name, token, now);
}

int64_t certauto__avi_answer_time(const char *object, const certauto_target *target)
{
	return certauto__device_answer_time(object, target);
}

void certauto__avi_certificate(char out[CERTAUTO__AVI_NAME],
	const struct certauto__deployment *deployment)
{
	const char *own = certauto__option_text(deployment->target, "certificate");

	if (own == NULL)
		(void)snprintf(out, CERTAUTO__AVI_NAME, "%s-%s-%s",
			certauto__option_text(deployment->target, "prefix"), deployment->name,
			deployment->key_type);
	else if (deployment->n_keys > 1)
		(void)snprintf(out, CERTAUTO__AVI_NAME, "%s-%s", own, deployment->key_type);
	else
		(void)snprintf(out, CERTAUTO__AVI_NAME, "%s", own);
}

static void ca_stem(char out[CERTAUTO__AVI_NAME], const certauto_target *target)
{
	(void)snprintf(out, CERTAUTO__AVI_NAME, "%s-ca-", certauto__option_text(target, "prefix"));
}

int certauto__avi_ca(char out[CERTAUTO__AVI_NAME], const certauto_target *target,
	const struct certauto__cert_info *ca)
{
	char stem[CERTAUTO__AVI_NAME];

	ca_stem(stem, target);
	certauto__device_ca(out, CERTAUTO__AVI_NAME, stem, CA_DIGITS, ca);
	return 0;
}

int certauto__avi_is_own_ca(const char *name, const certauto_target *target)
{
	char stem[CERTAUTO__AVI_NAME];

	ca_stem(stem, target);
	return certauto__device_is_own_ca(name, stem, CA_DIGITS);
}
