/* SPDX-License-Identifier: Apache-2.0 */
/* A DNS service as a target written outside the library: the values of an owner are the lines of a
 * file of that name in a folder, which the tests' name server reads. The program renews what a
 * configuration names.
 *
 * usage: dns_target CONFIG
 *
 * KILL_AFTER=N in the environment: the N-th record that is put up is the last thing it does. */

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <certauto.h>
#include <certauto/sys/target.h>

#define TIMEOUT_MS 60000

static int n_presented;

/* Takes value out of the owner's file, and puts it in again if it is to be there. Whole files are
 * replaced, so that the name server never sees half of one. */
static int rewrite(certauto_work *work, int keep)
{
	const char *folder = certauto_work_option(work, "folder");
	const char *owner = certauto_work_record(work), *value = certauto_work_value(work);
	char path[PATH_MAX], fresh[PATH_MAX], line[1024];
	FILE *in, *out;
	int n = 0;

	if (owner == NULL || value == NULL)
		return certauto_work_fail(work, CERTAUTO_EINVAL, "no record, or no value");
	snprintf(path, sizeof(path), "%s/%s", folder, owner);
	snprintf(fresh, sizeof(fresh), "%s/.new", folder);
	if ((out = fopen(fresh, "w")) == NULL)
		return certauto_work_fail(work, CERTAUTO_EIO, "the zone cannot be written");
	if ((in = fopen(path, "r")) != NULL) {
		while (fgets(line, sizeof(line), in) != NULL) {
			line[strcspn(line, "\n")] = '\0';
			if (strcmp(line, value) != 0)
				n += fprintf(out, "%s\n", line);
		}
		fclose(in);
	}
	if (keep)
		n += fprintf(out, "%s\n", value);
	if (fclose(out) != 0 || rename(fresh, path) != 0 || (n == 0 && unlink(path) != 0))
		return certauto_work_fail(work, CERTAUTO_EIO, "the zone cannot be written");
	return 0;
}

static int zone_present(certauto_work *work, void *payload)
{
	const char *kill_after = getenv("KILL_AFTER");
	int rc = rewrite(work, 1);

	(void)payload;
	if (rc == 0 && kill_after != NULL && ++n_presented == atoi(kill_after))
		raise(SIGKILL);
	return rc;
}

static int zone_cleanup(certauto_work *work, void *payload)
{
	(void)payload;
	return rewrite(work, 0);
}

static const certauto_target_ops zone = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_DNS01,
	.name = "zone",
	.options_json = "[{\"name\":\"folder\",\"type\":\"path\",\"required\":true,"
			"\"help\":\"where the name server has its records\"}]",
	.present = zone_present,
	.cleanup = zone_cleanup,
};

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_fleet *fleet = NULL;
	char *results = NULL;
	int rc;

	if (argc != 2)
		return 2;
	if ((rc = certauto_context_new(&cx)) < 0 ||
	    (rc = certauto_context_add_target(cx, &zone, NULL, NULL)) < 0 ||
	    (rc = certauto_fleet_load(&fleet, cx, argv[1])) < 0 ||
	    (rc = certauto_fleet_renew(fleet, NULL, 0, 0, TIMEOUT_MS)) < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
	if (fleet != NULL && certauto_fleet_dup_results(&results, fleet) == 0)
		puts(results);
	certauto_mem_free(results);
	certauto_fleet_free(fleet);
	certauto_context_free(cx);
	return rc < 0 ? 1 : 0;
}
