/* SPDX-License-Identifier: Apache-2.0 */
/* VMware NSX (NSX-T), through the API of its managers: the row and its options. Sessions are in
 * nsx_session.c, calls in nsx_call.c, the certificates of managers and VIP in nsx_deploy.c, those
 * of virtual servers in nsx_lb.c, keys that the managers make in nsx_csr.c, the test in
 * nsx_test.c. */

#include "targets/nsx.h"

#include <string.h>

#include "targets/device.h"
#include "targets/targets.h"

#define PREFIX_MAX 32
#define LONGEST_ID 200
#define PATIENCE_MS 120000 /* a manager's HTTP service restarts with its new certificate */

static const struct certauto__option nsx_options[] = {
	{.name = "url",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "virtual IP of the cluster, or any of its managers, https://HOST[:PORT]"},
	{.name = "user",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "name of the account; \"certauto target recipe\" tells how to make one"},
	{.name = "password",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED | CERTAUTO_OPTION_SENSITIVE,
		.help = "its password"},
	{.name = "auth",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "basic",
		.help = "how to log in: basic, remote (an account of a directory) or session"},
	{.name = "service",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "all",
		.help = "what is to serve the certificate: cluster (the virtual IP), node (each "
			"manager), all (managers and virtual IP) or lb (virtual servers)"},
	{.name = "nodes",
		.type = CERTAUTO__OPTION_LIST,
		.help = "addresses of managers, HOST[:PORT]; left out: the cluster is asked"},
	{.name = "virtual_server",
		.type = CERTAUTO__OPTION_LIST,
		.help = "with service=lb: ids of virtual servers; sni:ID: one that is to serve it "
			"to clients that ask for its names, beside its default certificate"},
	{.name = "name_prefix",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "certauto",
		.help = "what the names of all objects made begin with"},
	{.name = "dialect",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "auto",
		.help = "calls that put a certificate to use: legacy (2.4 to 3.1), apply (3.2 and "
			"later), or auto: by the version of the manager"},
	{.name = "vip",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "virtual IP to set where the cluster has none; one that is set is never "
			"changed"},
	{.name = "root_file",
		.type = CERTAUTO__OPTION_PATH,
		.help = "PEM file with the root of the chain, which managers want and ACME CAs do "
			"not send"},
	{.name = "allow_overwrite",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "no",
		.help = "with service=lb: change virtual servers that are protected, because "
			"another program has made them"},
	{.name = "keep_old",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "1",
		.max = 100,
		.help = "how many superseded certificates of each name to leave on the managers"},
	{.name = NULL}};

/* ---- options ---- */

int certauto__nsx_is_lb(const certauto_target *target)
{
	return certauto__text_equal(certauto__option_text(target, "service"), "lb");
}

static int wrong(const certauto_target *target, const char *name, const char *what,
	certauto_error *err)
{
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label, "%s: option \"%s\" %s",
		target->label, name, what);
}

static int check_word(const certauto_target *target, const char *name, const char *const *words,
	const char *what, certauto_error *err)
{
	const char *text = certauto__option_text(target, name);

	for (; *words != NULL; words++)
		if (certauto__text_equal(text, *words))
			return 0;
	return wrong(target, name, what, err);
}

static int check_words(const certauto_target *target, certauto_error *err)
{
	static const char *const auths[] = {"basic", "remote", "session", NULL};
	static const char *const services[] = {"cluster", "node", "all", "lb", NULL};
	static const char *const dialects[] = {"auto", "legacy", "apply", NULL};
	int rc;

	if ((rc = check_word(target, "auth", auths, "is basic, remote or session", err)) < 0 ||
		(rc = check_word(target, "service", services, "is cluster, node, all or lb",
			 err)) < 0)
		return rc;
	return check_word(target, "dialect", dialects, "is auto, legacy or apply", err);
}

static int check_login(const certauto_target *target, certauto_error *err)
{
	if (!certauto__text_equal(certauto__option_text(target, "auth"), "session") &&
		strchr(certauto__option_text(target, "user"), ':') != NULL)
		return wrong(target, "user", "has a \":\" in it: only auth=session can send that",
			err);
	if (!certauto__option_flag(target, "insecure") ||
		certauto__option_text(target, "ca_file") == NULL)
		return 0;
	certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: options \"insecure\" and \"ca_file\" exclude each other: with both, insecure "
		"would take precedence, and nobody would be verified by the CA that was given",
		target->label);
	return certauto__error_advise(err,
		"leave out insecure; or, for a test, leave out ca_file");
}

/* Ids become part of a path. */
static int check_servers(const certauto_target *target, certauto_error *err)
{
	const certauto__list *servers = certauto__option_list(target, "virtual_server");
	const char *id;
	size_t i;
	int rc = 0;

	if (!certauto__nsx_is_lb(target))
		return servers->n > 0 ? wrong(target, "virtual_server", "needs service=lb", err)
				      : 0;
	if (servers->n == 0)
		return wrong(target, "virtual_server", "is missing, which service=lb needs", err);
	for (i = 0; rc == 0 && i < servers->n; i++) {
		id = servers->items[i];
		id += certauto__text_starts(id, "sni:") ? strlen("sni:") : 0;
		if (*id == '\0' || strlen(id) > LONGEST_ID || strchr(id, '/') != NULL)
			rc = wrong(target, "virtual_server",
				"is an id, or sni:ID, of at most 200 bytes without \"/\"", err);
	}
	return rc;
}

static int check_addresses(const certauto_target *target, certauto_error *err)
{
	const certauto__list *nodes = certauto__option_list(target, "nodes");
	const char *vip = certauto__option_text(target, "vip");
	char address[CERTAUTO__ADDRESS];
	size_t i;

	if (nodes->n > CERTAUTO__NSX_NODES)
		return wrong(target, "nodes", "has more than 16 managers", err);
	for (i = 0; i < nodes->n; i++)
		if (certauto__address_format(address, nodes->items[i], 443) < 0)
			return wrong(target, "nodes", "is a list of HOST or HOST:PORT", err);
	if (vip != NULL && (!certauto__ip_check(vip) || strcmp(vip, "0.0.0.0") == 0))
		return wrong(target, "vip", "is an IP address", err);
	return 0;
}

/* As clients see it: one certificate, whatever the type of its key. */
static int nsx_fits(const certauto_target *target, size_t n_keys, int sends, certauto_error *err)
{
	const certauto__list *servers = certauto__option_list(target, "virtual_server");
	int shows_one = !certauto__nsx_is_lb(target), rc;
	size_t i;

	for (i = 0; i < servers->n; i++)
		shows_one |= !certauto__text_starts(servers->items[i], "sni:");
	if (n_keys > 1 && shows_one) {
		certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: %s one certificate, and this one has %zu, by its keys: each would "
			"take the place of the other",
			target->label, certauto__nsx_is_lb(target)
				? "a virtual server has by default" : "managers present", n_keys);
		return certauto__error_advise(err,
			"have the certificate made with one type of key");
	}
	if ((rc = certauto__nsx_check_root(target, err)) < 0)
		return rc;
	return certauto__device_fits(target, n_keys, sends, err);
}

static int nsx_check(certauto_target *target, certauto_error *err);

/* Virtual servers have a life of their own: another table of steps, and nobody restarts. */
static const struct certauto__target_row nsx_lb_row = {
	.name = "nsx",
	.caps = CERTAUTO_TARGET_DEPLOY,
	.options = nsx_options,
	.check = nsx_check,
	.fits = nsx_fits,
	.peer = certauto__nsx_peer,
	.deploy = &certauto__nsx_lb,
	.test = &certauto__nsx_test,
	.drifts = 1,
	.recipe = certauto__nsx_recipe,
};

/* It settles the row too: both have the same options. */
static int nsx_check(certauto_target *target, certauto_error *err)
{
	int rc;

	if ((rc = certauto__device_check_url(target, "url", err)) < 0 ||
		(rc = check_words(target, err)) < 0 || (rc = check_login(target, err)) < 0 ||
		(rc = check_servers(target, err)) < 0 || (rc = check_addresses(target, err)) < 0)
		return rc;
	if ((rc = certauto__device_check_name(target, "name_prefix",
		     certauto__option_text(target, "name_prefix"), PREFIX_MAX, "", err)) == 0)
		target->row = certauto__nsx_is_lb(target) ? &nsx_lb_row : &certauto__target_nsx;
	return rc;
}

const struct certauto__target_row certauto__target_nsx = {
	.name = "nsx",
	.caps = CERTAUTO_TARGET_DEPLOY | CERTAUTO_TARGET_CSR,
	.options = nsx_options,
	.check = nsx_check,
	.fits = nsx_fits,
	.peer = certauto__nsx_peer,
	.deploy = &certauto__nsx_deploy,
	.csr = &certauto__nsx_csr,
	.test = &certauto__nsx_test,
	.drifts = 1,
	.recipe = certauto__nsx_recipe,
	.patience_ms = PATIENCE_MS,
	.other = &nsx_lb_row,
};
