/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a scenario through the C interface: public headers, and nothing else.
 *
 * usage: runner order|fleet NAME=VALUE...
 *
 * order: account, key, request and order are made by hand, and perhaps the certificate is deployed.
 *   server ca_file names type option.NAME [profile] [eab=KID:HMAC] [key=signer] [deploy=NAME]
 * fleet: one verb of a configuration.
 *   config verb [names] [force=1]
 * Both: timeout (seconds), [cancel=once|twice] at the first event that something is waited for,
 * [refuse=1] the first step.
 *
 * Each thing that came out is a line of fields with tabs between; runner.py and runner.lua take and
 * print the same. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <certauto.h>
#include <certauto/sys/target.h>

#define NAMES_MAX 32

static int n_settings;
static char **settings;
static certauto_context *cx;
static int was_cancelled, was_refused;

static const char *setting(const char *name)
{
	size_t len = strlen(name);
	int i;

	for (i = 0; i < n_settings; i++)
		if (strncmp(settings[i], name, len) == 0 && settings[i][len] == '=')
			return settings[i] + len + 1;
	return NULL;
}

static int timeout_ms(void)
{
	return (int)(atof(setting("timeout")) * 1000);
}

/* Their commas become ends; the list is that of this program's only argument of the name. */
static size_t setting_list(const char *name, const char **out)
{
	char *at = (char *)setting(name);
	size_t n = 0;

	for (at = at != NULL ? strtok(at, ",") : NULL; at != NULL && n < NAMES_MAX;
		at = strtok(NULL, ","))
		out[n++] = at;
	return n;
}

static void say(const char *what, const char *first, const char *second, const char *third)
{
	const char *fields[] = {first, second, third};
	size_t i;

	printf("%s", what);
	for (i = 0; i < 3 && fields[i] != NULL; i++)
		printf("\t%s", fields[i]);
	printf("\n");
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void say_error(const certauto_error *error)
{
	size_t i;

	say("message", certauto_error_message(error), NULL, NULL);
	say("object", or_empty(certauto_error_object(error)), NULL, NULL);
	say("problem", or_empty(certauto_error_problem(error)), NULL, NULL);
	say("advice", or_empty(certauto_error_advice(error)), NULL, NULL);
	printf("status\t%d\n", certauto_error_status(error));
	printf("retry_at\t%lld\n", (long long)certauto_error_retry_at(error));
	for (i = 0; i < certauto_error_n_subproblems(error); i++)
		say("subproblem", or_empty(certauto_error_subproblem_name(error, i)),
			or_empty(certauto_error_subproblem_problem(error, i)),
			or_empty(certauto_error_subproblem_detail(error, i)));
}

/* ---- callbacks ---- */

static void cancel(void)
{
	if (was_cancelled)
		return;
	was_cancelled = 1;
	certauto_context_cancel(cx);
	if (strcmp(setting("cancel"), "twice") == 0)
		certauto_context_cancel(cx);
}

static int on_event(const certauto_event *event, void *payload)
{
	const char *object = certauto_event_object(event);
	int type = certauto_event_type(event);

	(void)payload;
	if (object == NULL)
		object = certauto_job_name(certauto_event_job(event));
	if (type == CERTAUTO_EVENT_STEP)
		say("step", or_empty(object), or_empty(certauto_event_step(event)),
			or_empty(certauto_event_text(event)));
	else if (type == CERTAUTO_EVENT_WARNING)
		say("warning", or_empty(object), or_empty(certauto_event_text(event)), NULL);
	else if (type == CERTAUTO_EVENT_DONE)
		say("done", or_empty(object), NULL, NULL);
	if (type == CERTAUTO_EVENT_WAIT && setting("cancel") != NULL)
		cancel();
	if (type == CERTAUTO_EVENT_STEP && setting("refuse") != NULL && !was_refused) {
		was_refused = 1;
		return CERTAUTO_ECANCELED;
	}
	return 0;
}

/* A target written here: its answers are shown to nobody. */
static int own_present(certauto_work *work, void *payload)
{
	(void)payload;
	say("present", certauto_work_name(work), certauto_work_challenge(work),
		certauto_work_option(work, "where"));
	if (strcmp(certauto_work_option(work, "where"), "nowhere") == 0)
		return certauto_work_fail(work, CERTAUTO_EPERM, "no right to show it");
	return 0;
}

static int own_cleanup(certauto_work *work, void *payload)
{
	(void)payload;
	say("cleanup", certauto_work_name(work), certauto_work_challenge(work), NULL);
	return 0;
}

static const certauto_target_ops own = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_HTTP01,
	.name = "own",
	.options_json = "[{\"name\": \"where\", \"type\": \"text\", "
			"\"help\": \"where it is shown\"}]",
	.present = own_present,
	.cleanup = own_cleanup,
};

static int refuse_to_sign(certauto_signing *signing, void *payload)
{
	size_t digest_len;
	char len[24];

	(void)payload;
	if (certauto_signing_digest(signing, &digest_len) == NULL)
		return CERTAUTO_EINVAL;
	snprintf(len, sizeof(len), "%zu", digest_len);
	say("sign", certauto_signing_alg(signing), len, NULL);
	return CERTAUTO_EAUTH;
}

/* ---- by hand ---- */

static int make_signer(certauto_key **out)
{
	certauto_key *key = NULL;
	unsigned char *public = NULL;
	size_t public_len = 0;
	int rc;

	if ((rc = certauto_key_new(&key, cx, "ecdsa-p256")) < 0 ||
		(rc = certauto_key_format_public(&public, &public_len, key)) < 0)
		goto out;
	rc = certauto_key_new_signer(out, cx, public, public_len, refuse_to_sign, NULL, NULL);
out:
	certauto_mem_free(public);
	certauto_key_free(key);
	return rc;
}

static int make_csr(certauto_csr **out, certauto_key **key_out)
{
	const char *names[NAMES_MAX];
	size_t n = setting_list("names", names);
	int rc;

	if (setting("key") != NULL)
		rc = make_signer(key_out);
	else
		rc = certauto_key_new(key_out, cx, "ecdsa-p256");
	if (rc < 0)
		return rc;
	return certauto_csr_new(out, cx, *key_out, names, n);
}

static int set_eab(certauto_account *account)
{
	char *kid = (char *)setting("eab"), *hmac;

	if (kid == NULL)
		return 0;
	hmac = strchr(kid, ':');
	*hmac++ = '\0';
	return certauto_account_set_eab(account, kid, (const unsigned char *)hmac, strlen(hmac));
}

static int make_account(certauto_account **out)
{
	int rc;

	if ((rc = certauto_account_new(out, cx, setting("server"))) < 0 ||
		(rc = certauto_account_set_ca_file(*out, setting("ca_file"))) < 0 ||
		(rc = certauto_account_set_agree_tos(*out, setting("agree_tos") != NULL)) < 0)
		return rc;
	return set_eab(*out);
}

static int make_target(certauto_target **out)
{
	static const char prefix[] = "option.";
	char *value;
	int i, rc;

	if (strcmp(setting("type"), own.name) == 0)
		rc = certauto_target_new_ops(out, cx, &own, NULL, NULL);
	else
		rc = certauto_target_new(out, cx, setting("type"));
	for (i = 0; rc == 0 && i < n_settings; i++) {
		if (strncmp(settings[i], prefix, sizeof(prefix) - 1) != 0)
			continue;
		value = strchr(settings[i], '=');
		*value++ = '\0';
		rc = certauto_target_set(*out, settings[i] + sizeof(prefix) - 1, value);
	}
	return rc;
}

static void say_order(const certauto_order *order)
{
	static const char *const words[] = {"open", "valid", "invalid"};
	const certauto_error *error;
	size_t i;

	printf("order\t%d\n", certauto_order_status(order));
	for (i = 0; i < certauto_order_n_names(order); i++) {
		error = certauto_order_name_error(order, i);
		say("name", certauto_order_name(order, i),
			words[certauto_order_name_status(order, i)],
			error != NULL ? certauto_error_name(certauto_error_code(error)) : NULL);
	}
}

static int deploy(certauto_order *order, certauto_target *target, certauto_key *key)
{
	certauto_chain *chain = NULL;
	size_t i;
	int rc;

	if ((rc = certauto_order_dup_chain(&chain, order)) < 0)
		return rc;
	say("chain", certauto_chain_fingerprint(chain), NULL, NULL);
	for (i = 0; i < certauto_chain_n_names(chain); i++)
		say("issued", certauto_chain_name(chain, i), NULL, NULL);
	if (setting("deploy") != NULL)
		rc = certauto_target_deploy(
			target, setting("deploy"), chain, key, timeout_ms());
	certauto_chain_free(chain);
	return rc;
}

static int run_order(void)
{
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	certauto_account *account = NULL;
	certauto_target *target = NULL;
	certauto_order *order = NULL;
	int rc;

	if ((rc = make_account(&account)) < 0 || (rc = make_target(&target)) < 0 ||
		(rc = make_csr(&csr, &key)) < 0 ||
		(rc = certauto_order_new(&order, account, csr)) < 0 ||
		(rc = certauto_order_use(order, "http-01", target)) < 0 ||
		(rc = certauto_order_set_profile(order, setting("profile"), 1)) < 0)
		goto out;
	if ((rc = certauto_order_run(order, timeout_ms())) == 0)
		rc = deploy(order, target, key);
out:
	say("result", certauto_error_name(rc), NULL, NULL);
	if (rc < 0)
		say_error(certauto_context_error(cx));
	if (order != NULL)
		say_order(order);
	certauto_order_free(order);
	certauto_target_free(target);
	certauto_account_free(account);
	certauto_csr_free(csr);
	certauto_key_free(key);
	return rc;
}

/* ---- by a configuration ---- */

static int do_verb(certauto_fleet *fleet)
{
	const char *names[NAMES_MAX], *verb = setting("verb");
	size_t n = setting_list("names", names);
	int flags = setting("force") != NULL ? CERTAUTO_FLEET_FORCE : 0;

	if (strcmp(verb, "renew") == 0)
		return certauto_fleet_renew(fleet, n > 0 ? names : NULL, n, flags, timeout_ms());
	if (strcmp(verb, "deploy") == 0)
		return certauto_fleet_deploy(fleet, n > 0 ? names : NULL, n, timeout_ms());
	if (strcmp(verb, "revoke") == 0)
		return certauto_fleet_revoke(
			fleet, names, n, CERTAUTO_REVOKE_SUPERSEDED, 0, timeout_ms());
	if (strcmp(verb, "test") == 0)
		return certauto_fleet_test(fleet, timeout_ms());
	return certauto_fleet_gc(fleet, timeout_ms());
}

static int run_fleet(void)
{
	certauto_fleet *fleet = NULL;
	char *results = NULL;
	int rc;

	if ((rc = certauto_fleet_load(&fleet, cx, setting("config"))) == 0)
		rc = do_verb(fleet);
	say("result", certauto_error_name(rc), NULL, NULL);
	if (rc < 0)
		say_error(certauto_context_error(cx));
	if (fleet != NULL && certauto_fleet_dup_results(&results, fleet) == 0)
		say("results", results, NULL, NULL);
	certauto_mem_free(results);
	certauto_fleet_free(fleet);
	return rc;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 2)
		return 2;
	n_settings = argc - 2;
	settings = argv + 2;
	if (certauto_context_new(&cx) < 0 ||
		certauto_context_set_event_cb(cx, on_event, NULL, NULL) < 0)
		return 2;
	rc = strcmp(argv[1], "order") == 0 ? run_order() : run_fleet();
	certauto_context_free(cx);
	return rc < 0;
}
