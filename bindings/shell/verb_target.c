/* SPDX-License-Identifier: Apache-2.0 */
/* certauto target list, options, test, renew, recipe. */

#include <string.h>

#include "adhoc.h"
#include "results.h"
#include "shell.h"
#include "table.h"

static const struct {
	int cap;
	const char *name;
} capabilities[] = {
	{CERTAUTO_TARGET_HTTP01, "http-01"},
	{CERTAUTO_TARGET_DNS01, "dns-01"},
	{CERTAUTO_TARGET_TLSALPN01, "tls-alpn-01"},
	{CERTAUTO_TARGET_DEPLOY, "deploy"},
	{CERTAUTO_TARGET_CSR, "csr"},
};

/* ---- list ---- */

static void add_capabilities(struct text *out, int caps, int json)
{
	size_t i, n = 0;

	for (i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++) {
		if ((caps & capabilities[i].cap) == 0)
			continue;
		text_add(out, n++ == 0 ? "" : json ? "," : ", ");
		if (json)
			text_add_json(out, capabilities[i].name);
		else
			text_add(out, capabilities[i].name);
	}
}

static void say_types_json(const struct shell *shell, const struct text *types)
{
	struct text text = {0};

	text_printf(&text, "{\"version\":1,\"verb\":\"%s\",\"targets\":[%s]}\n", shell->verb->name,
		text_of(types));
	say(&text);
	text_free(&text);
}

static void add_type(struct text *out, const struct shell *shell, const char *type, int caps)
{
	if (!shell->json) {
		text_pad(out, type, 16);
		add_capabilities(out, caps, 0);
		text_add(out, "\n");
		return;
	}
	text_add(out, out->len > 0 ? ",{\"type\":" : "{\"type\":");
	text_add_json(out, type);
	text_add(out, ",\"capabilities\":[");
	add_capabilities(out, caps, 1);
	text_add(out, "]}");
}

int run_target_list(struct shell *shell)
{
	struct text out = {0};
	int rc, status = shell_open(shell);
	size_t i;

	if (status != STATUS_DONE)
		return status;
	for (i = 0; i < certauto_target_n_types(shell->cx); i++) {
		const char *type = certauto_target_type_name(shell->cx, i);
		certauto_target *target = NULL;

		if ((rc = certauto_target_new(&target, shell->cx, type)) < 0) {
			text_free(&out);
			return say_failure(shell, rc);
		}
		add_type(&out, shell, type, certauto_target_caps(target));
		certauto_target_free(target);
	}
	if (shell->json)
		say_types_json(shell, &out);
	else
		say(&out);
	text_free(&out);
	return STATUS_DONE;
}

/* ---- options ---- */

static void add_option_json(struct text *out, const certauto_target *target, size_t i)
{
	int flags = certauto_target_option_flags(target, i);

	text_add(out, i > 0 ? ",{\"name\":" : "{\"name\":");
	text_add_json(out, certauto_target_option_name(target, i));
	text_add(out, ",\"type\":");
	text_add_json(out, certauto_target_option_type(target, i));
	text_printf(out, ",\"required\":%s,\"sensitive\":%s,\"default\":",
		(flags & CERTAUTO_OPTION_REQUIRED) != 0 ? "true" : "false",
		(flags & CERTAUTO_OPTION_SENSITIVE) != 0 ? "true" : "false");
	text_add_json(out, certauto_target_option_default(target, i));
	text_add(out, ",\"help\":");
	text_add_json(out, certauto_target_option_help(target, i));
	text_add(out, "}");
}

/* One line each, which a terminal wraps and grep finds whole. */
static void add_option_line(struct text *out, const certauto_target *target, size_t i)
{
	int flags = certauto_target_option_flags(target, i);
	const char *value = certauto_target_option_default(target, i);
	const char *help = certauto_target_option_help(target, i);

	text_printf(out, "  %s (%s", certauto_target_option_name(target, i),
		certauto_target_option_type(target, i));
	if ((flags & CERTAUTO_OPTION_REQUIRED) != 0)
		text_add(out, ", required");
	if ((flags & CERTAUTO_OPTION_SENSITIVE) != 0)
		text_add(out, ", secret");
	if (value != NULL && *value != '\0')
		text_printf(out, ", default %s", value);
	text_printf(out, "): %s\n", help != NULL ? help : "");
}

static void say_options(const struct shell *shell, const certauto_target *target)
{
	struct text out = {0}, list = {0};
	size_t i;

	for (i = 0; i < certauto_target_n_options(target); i++) {
		if (shell->json)
			add_option_json(&list, target, i);
		else
			add_option_line(&list, target, i);
	}
	if (shell->json) {
		text_printf(&out,
			"{\"version\":1,\"verb\":\"%s\",\"type\":\"%s\",\"options\":[%s]}\n",
			shell->verb->name, certauto_target_type(target), text_of(&list));
	} else {
		text_printf(&out, "%s: ", certauto_target_type(target));
		add_capabilities(&out, certauto_target_caps(target), 0);
		text_printf(&out, "\n\n%s", text_of(&list));
	}
	say(&out);
	text_free(&out);
	text_free(&list);
}

int run_target_options(struct shell *shell)
{
	certauto_target *target = NULL;
	int status;

	if (shell->options.operands.n != 1)
		return say_usage(shell, "usage: certauto target options TYPE");
	if ((status = shell_open(shell)) != STATUS_DONE)
		return status;
	if (certauto_target_new(&target, shell->cx, shell->options.operands.items[0]) < 0)
		return say_config_failure(shell, NULL, NULL);
	say_options(shell, target);
	certauto_target_free(target);
	return STATUS_DONE;
}

/* ---- test, renew ---- */

typedef int start_fn(certauto_job **out, certauto_target *target, int deadline_ms);

/* A job of the target NAME of the configuration, to its end; word: what is said then. */
static int run_job(struct shell *shell, start_fn *start, const char *word)
{
	struct results results = {0};
	struct text line = {0};
	certauto_target *target = NULL;
	certauto_job *job = NULL;
	const char *name;
	int rc, status;

	if (shell->options.operands.n != 1)
		return say_usage(shell, "usage: certauto %s NAME", shell->verb->name);
	name = shell->options.operands.items[0];
	if ((status = shell_open(shell)) != STATUS_DONE ||
	    (status = adhoc_named(shell, name, &target)) != STATUS_DONE)
		return status;
	if ((rc = start(&job, target, shell_timeout_ms(shell))) == 0)
		rc = shell_finish(shell, job);
	if (rc == 0 && !shell->json) {
		text_printf(&line, "%s: %s\n", name, word);
		say(&line);
		text_free(&line);
	}
	results_add(&results, shell, name, NULL, rc);
	certauto_target_free(target);
	return results_say_own(shell, &results);
}

int run_target_test(struct shell *shell)
{
	return run_job(shell, certauto_target_start_test, "ok");
}

int run_target_renew(struct shell *shell)
{
	return run_job(shell, certauto_target_start_renew, "renewed");
}

/* ---- recipe ---- */

static void say_recipe(const struct shell *shell, const certauto_target *target, const char *recipe)
{
	struct text out = {0};

	if (!shell->json) {
		text_add(&out, recipe);
	} else {
		text_printf(&out, "{\"version\":1,\"verb\":\"%s\",\"type\":\"%s\",\"recipe\":",
			shell->verb->name, certauto_target_type(target));
		text_add_json(&out, recipe);
		text_add(&out, "}\n");
	}
	say(&out);
	text_free(&out);
}

int run_target_recipe(struct shell *shell)
{
	certauto_target *target = NULL;
	char *recipe = NULL;
	int rc, status;

	if (shell->options.operands.n != 1)
		return say_usage(shell,
			"usage: certauto target recipe TYPE[,OPTION=VALUE...] | NAME");
	if ((status = shell_open(shell)) != STATUS_DONE ||
	    (status = adhoc_target(shell, shell->options.operands.items[0], 1, &target)) !=
		    STATUS_DONE)
		return status;
	if ((rc = certauto_target_dup_recipe(&recipe, target)) == 0)
		say_recipe(shell, target, recipe);
	else
		status = say_failure(shell, rc);
	certauto_mem_free(recipe);
	certauto_target_free(target);
	return status;
}
