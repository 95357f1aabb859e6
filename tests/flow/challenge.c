/* SPDX-License-Identifier: Apache-2.0 */
/* One challenge answered, or its answer taken away, through the public API: what no verb of the
 * command does alone.
 *
 * usage: challenge present|cleanup TYPE NAME TOKEN VALUE [OPTION=VALUE]...
 *
 * Prints code, message and advice, a line each; nothing when it went well. */

#include <stdio.h>
#include <string.h>

#include <certauto.h>

#define TIMEOUT_MS 30000

static int set_options(certauto_target *target, char **options)
{
	char name[64], *value;
	int rc = 0;

	for (; rc == 0 && *options != NULL; options++) {
		if ((value = strchr(*options, '=')) == NULL)
			return CERTAUTO_EINVAL;
		snprintf(name, sizeof(name), "%.*s", (int)(value - *options), *options);
		rc = certauto_target_set(target, name, value + 1);
	}
	return rc;
}

static void tell(const certauto_error *error)
{
	const char *advice = certauto_error_advice(error);

	printf("%s\n%s\n%s\n", certauto_error_name(certauto_error_code(error)),
		certauto_error_message(error), advice != NULL ? advice : "");
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_target *target = NULL;
	int rc, cleans;

	if (argc < 6)
		return 2;
	cleans = strcmp(argv[1], "cleanup") == 0;
	if ((rc = certauto_context_new(&cx)) == 0 &&
	    (rc = certauto_target_new(&target, cx, argv[2])) == 0 &&
	    (rc = set_options(target, argv + 6)) == 0 && cleans)
		rc = certauto_target_cleanup(
			target, "http-01", argv[3], argv[4], argv[5], TIMEOUT_MS);
	else if (rc == 0)
		rc = certauto_target_present(
			target, "http-01", argv[3], argv[4], argv[5], TIMEOUT_MS);
	if (rc < 0 && certauto_context_error(cx) != NULL)
		tell(certauto_context_error(cx));
	certauto_target_free(target);
	certauto_context_free(cx);
	return rc < 0;
}
