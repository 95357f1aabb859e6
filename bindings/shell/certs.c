/* SPDX-License-Identifier: Apache-2.0 */
/* What is in certificates, as one would read it from openssl x509 -text; and the way to targets for
 * those that no CA of the configuration has issued. */

#include "certs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adhoc.h"

#define NAME_MAX_LEN 64

/* ---- looked at ---- */

struct json *certs_details(const struct shell *shell, const certauto_chain *chain)
{
	struct json *details;
	char *text = NULL;
	int rc = certauto_chain_dup_details(&text, chain);

	if (rc < 0) {
		(void)say_failure(shell, rc);
		return NULL;
	}
	details = json_parse(text);
	certauto_mem_free(text);
	return details;
}

static void add_line(struct text *out, const char *title, const char *value)
{
	text_add(out, "  ");
	text_pad(out, title, 12);
	text_add_shown(out, value);
	text_add(out, "\n");
}

static void add_names(struct text *out, const struct json *names)
{
	const struct json *name;
	struct text list = {0};

	for (name = json_first(names); name != NULL; name = name->next)
		text_printf(&list, "%s%s", list.len > 0 ? ", " : "", name->text);
	add_line(out, "names", list.len > 0 ? text_of(&list) : "none");
	text_free(&list);
}

static void add_validity(struct text *out, const struct json *cert)
{
	int64_t from = json_number(cert, "not_before"), until = json_number(cert, "not_after");
	int64_t now = (int64_t)time(NULL);
	struct text text = {0};

	text_add_time(&text, from);
	text_add(&text, from > now ? ": NOT YET" : "");
	add_line(out, "valid from", text_of(&text));
	text_free(&text);
	text_add_time(&text, until);
	text_add(&text, until <= now ? ": EXPIRED" : "");
	add_line(out, "until", text_of(&text));
	text_free(&text);
}

static void add_cert(struct text *out, const struct json *cert)
{
	const struct json *ca = json_get(cert, "ca");
	struct text text = {0};

	text_add(&text, json_text_or(cert, "issuer", ""));
	if (json_is_true(cert, "self_signed"))
		text_add(&text, " (it has signed itself)");
	else if (json_is_true(cert, "signed_by_next"))
		text_add(&text, " (which follows)");
	add_line(out, "subject", json_text_or(cert, "subject", ""));
	add_line(out, "issuer", text_of(&text));
	text_free(&text);
	add_names(out, json_get(cert, "names"));
	add_validity(out, cert);
	add_line(out, "CA", ca == NULL || ca->type != JSON_BOOLEAN ? "it does not say"
			: json_is_true(cert, "ca") ? "CA:TRUE" : "CA:FALSE");
	text_printf(&text, "%s, %lld bits", json_text_or(cert, "key", "?"),
		(long long)json_number(cert, "key_bits"));
	add_line(out, "key", text_of(&text));
	text_free(&text);
	add_line(out, "signature", json_text_or(cert, "signature", "?"));
	add_line(out, "serial", json_text_or(cert, "serial", "?"));
	add_line(out, "SHA-256", json_text_or(cert, "sha256", "?"));
	add_line(out, "key pin", json_text_or(cert, "pin", "?"));
}

void certs_describe(struct text *out, const struct json *details)
{
	const struct json *cert;
	int i = 0;

	for (cert = json_first(details); cert != NULL; cert = cert->next) {
		text_printf(out, "certificate %d:\n", ++i);
		add_cert(out, cert);
	}
}

/* ---- deployed ---- */

static int deploy_to(struct shell *shell, certauto_target *target, const char *name,
	certauto_chain *chain, certauto_key *key)
{
	certauto_job *job = NULL;
	int rc = certauto_target_start_deploy(
		&job, target, name, chain, key, shell_timeout_ms(shell));

	return rc == 0 ? shell_finish(shell, job) : rc;
}

/* Behind the type there may be options, which are nobody's business. */
static void say_deployed(const char *name, const char *target)
{
	struct text line = {0};

	text_add_shown(&line, name);
	text_add(&line, ": deployed to ");
	text_add_n(&line, target, strcspn(target, ","));
	text_add(&line, "\n");
	say(&line);
	text_free(&line);
}

/* As certauto_target_deploy() will have it, which is too late to say so. */
static int check_name(const struct shell *shell, const char *name)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	if (len > 0 && len <= NAME_MAX_LEN && name[0] != '.' && strspn(name, safe) == len)
		return STATUS_DONE;
	return say_usage(shell,
		"a certificate cannot be called \"%s\": --name takes 1 to %d letters, digits, "
		"\".\", \"_\" and \"-\", and no dot in front",
		name, NAME_MAX_LEN);
}

static int find_name(struct delivery *out, const struct shell *shell, const certauto_chain *chain)
{
	const char *given = option_value(&shell->options, OPTION_NAME);

	if (given == NULL && certauto_chain_n_names(chain) == 0)
		return say_usage(shell, "the certificate has no names: --name NAME");
	if (given != NULL)
		text_add(&out->name, given);
	else
		adhoc_add_name(&out->name, certauto_chain_name(chain, 0));
	return check_name(shell, text_of(&out->name));
}

static int add_target(struct delivery *out, struct shell *shell, const char *text)
{
	certauto_target *target = NULL;
	int status = adhoc_with_store(shell, text, out->n_targets == 0, &target);

	if (status != STATUS_DONE)
		return status;
	out->targets = memory_grow(out->targets, out->n_targets + 1, sizeof(certauto_target *));
	out->targets[out->n_targets++] = target;
	if ((certauto_target_caps(target) & CERTAUTO_TARGET_DEPLOY) == 0)
		return say_usage(shell, "--target %.*s takes no certificates",
			(int)strcspn(text, ","), text);
	return certauto_target_check(target) == 0 ? STATUS_DONE
						  : say_config_failure(shell, "--target", NULL);
}

int delivery_open(struct delivery *out, struct shell *shell, const certauto_chain *chain)
{
	const struct strings *targets = &shell->options.given[OPTION_TARGET];
	size_t i;
	int status = targets->n > 0 ? find_name(out, shell, chain) : STATUS_DONE;

	for (i = 0; i < targets->n && status == STATUS_DONE; i++)
		status = add_target(out, shell, targets->items[i]);
	return status;
}

void delivery_run(struct delivery *delivery, struct shell *shell, struct results *results,
	certauto_chain *chain, certauto_key *key)
{
	const struct strings *targets = &shell->options.given[OPTION_TARGET];
	const char *key_type = key != NULL ? certauto_key_type(key) : NULL;
	const char *name = text_of(&delivery->name);
	size_t i;
	int rc;

	for (i = 0; i < delivery->n_targets; i++) {
		rc = deploy_to(shell, delivery->targets[i], name, chain, key);
		if (rc == 0 && !shell->json)
			say_deployed(name, targets->items[i]);
		results_add(results, shell, name, key_type, rc);
	}
}

void delivery_free(struct delivery *delivery)
{
	while (delivery->n_targets > 0)
		certauto_target_free(delivery->targets[--delivery->n_targets]);
	free(delivery->targets);
	text_free(&delivery->name);
}
