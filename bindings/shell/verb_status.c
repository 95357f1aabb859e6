/* SPDX-License-Identifier: Apache-2.0 */
/* certauto status: what there is, until when, and where it is. */

#include <string.h>
#include <time.h>

#include "fault.h"
#include "json.h"
#include "shell.h"
#include "table.h"

/* "CN=Example CA R3, O=Example": the common name says enough here. */
static void add_issuer(struct text *out, const char *issuer)
{
	const char *cn = issuer != NULL ? strstr(issuer, "CN=") : NULL;

	if (issuer == NULL)
		text_add(out, "-");
	else if (cn == NULL)
		text_add(out, issuer);
	else
		text_add_n(out, cn + 3, strcspn(cn + 3, ",+"));
}

static void add_until(struct text *out, int64_t until)
{
	long long days = (until - (int64_t)time(NULL)) / 86400;

	if (until == 0) {
		text_add(out, "not issued yet");
		return;
	}
	text_add_day(out, until);
	if (until <= (int64_t)time(NULL))
		text_add(out, " EXPIRED");
	else
		text_printf(out, " (%lld day%s)", days, days == 1 ? "" : "s");
}

static void add_targets(struct text *out, const struct json *targets)
{
	const struct json *target;

	for (target = json_first(targets); target != NULL; target = target->next) {
		const char *name = json_text(target, "name"), *state = json_text(target, "state");

		text_printf(out, "%s%s: %s", target != targets->first ? ", " : "",
			name != NULL ? name : "?", state != NULL ? state : "unknown");
	}
	if (targets == NULL || targets->first == NULL)
		text_add(out, "-");
}

static void add_row(struct table *table, const char *name, const struct json *lineage)
{
	const struct json *issued = json_get(lineage, "issued");
	const char *key = json_text(lineage, "key");
	struct text issuer = {0}, until = {0}, renew = {0}, targets = {0};

	add_issuer(&issuer, json_text(issued, "issuer"));
	add_until(&until, json_number(issued, "not_after"));
	if (json_number(lineage, "renew_at") != 0)
		text_add_day(&renew, json_number(lineage, "renew_at"));
	else
		text_add(&renew, "-");
	add_targets(&targets, json_get(lineage, "targets"));
	table_add(table, name);
	table_add(table, key != NULL ? key : "?");
	table_add(table, text_of(&issuer));
	table_add(table, text_of(&until));
	table_add(table, text_of(&renew));
	table_add(table, text_of(&targets));
	text_free(&issuer);
	text_free(&until);
	text_free(&renew);
	text_free(&targets);
}

static void add_error(struct text *out, const struct json *error, const char *name, const char *key,
	const char *target)
{
	struct text subject = {0};
	struct fault fault;

	if (error == NULL || error->type != JSON_OBJECT)
		return;
	text_printf(&subject, "%s %s%s%s", name, key != NULL ? key : "?",
		target != NULL ? " on " : "", target != NULL ? target : "");
	fault = fault_of_json(error);
	text_add(out, out->len == 0 ? "\nWhat went wrong last:\n" : "");
	fault_add(out, &fault, text_of(&subject));
	text_free(&subject);
}

static void add_lineage(
	struct table *table, struct text *errors, const char *name, const struct json *lineage)
{
	const struct json *targets = json_get(lineage, "targets"), *target;
	const char *key = json_text(lineage, "key");

	add_row(table, name, lineage);
	add_error(errors, json_get(lineage, "last_error"), name, key, NULL);
	for (target = json_first(targets); target != NULL; target = target->next)
		add_error(errors, json_get(target, "last_error"), name, key,
			json_text(target, "name"));
}

static void say_status(const struct json *status)
{
	const struct json *list = json_get(status, "certificates"), *certificate, *lineages,
			  *lineage;
	struct table table = {.n_columns = 6};
	struct text out = {0}, errors = {0};
	static const char *const titles[] = {
		"CERTIFICATE", "KEY", "ISSUED BY", "VALID UNTIL", "RENEW FROM", "TARGETS"};
	size_t i;

	for (i = 0; i < 6; i++)
		table_add(&table, titles[i]);
	for (certificate = json_first(list); certificate != NULL; certificate = certificate->next) {
		const char *name = json_text(certificate, "name");

		lineages = json_get(certificate, "lineages");
		for (lineage = json_first(lineages); lineage != NULL; lineage = lineage->next)
			add_lineage(&table, &errors, name != NULL ? name : "?", lineage);
	}
	table_format(&out, &table);
	text_add(&out, text_of(&errors));
	say(&out);
	table_free(&table);
	text_free(&out);
	text_free(&errors);
}

int run_status(struct shell *shell)
{
	struct text out = {0};
	struct json *status;
	char *text = NULL;
	int rc, exit_status = shell_open_fleet(shell);

	if (exit_status != STATUS_DONE)
		return exit_status;
	if ((rc = certauto_fleet_dup_status(&text, shell->fleet, NULL, 0)) < 0)
		return say_failure(shell, rc);
	if (shell->json) {
		text_printf(&out, "%s\n", text);
		say(&out);
		text_free(&out);
	} else {
		status = json_parse(text);
		say_status(status);
		json_free(status);
	}
	certauto_mem_free(text);
	return STATUS_DONE;
}
