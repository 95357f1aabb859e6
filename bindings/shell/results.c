/* SPDX-License-Identifier: Apache-2.0 */
/* Results: lines on standard output, reasons on standard error, or one JSON document. */

#include "results.h"

#include <string.h>

#include "fault.h"
#include "json.h"

/* Precedence of exit statuses: some failed, failed, later, done. */
int results_status(const struct results *results)
{
	if (results->n_failed > 0)
		return results->n_done + results->n_later > 0 ? STATUS_SOME_FAILED : STATUS_FAILED;
	return results->n_later > 0 ? STATUS_LATER : STATUS_DONE;
}

static void say_json(const struct shell *shell, const char *results)
{
	struct text text = {0};

	text_add(&text, "{\"version\":1,\"verb\":");
	text_add_json(&text, shell->verb->name);
	text_printf(&text, ",\"results\":%s}\n", results);
	say(&text);
	text_free(&text);
}

/* ---- of a fleet ---- */

static const struct json *find(const struct json *list, const char *member, const char *value)
{
	const struct json *item;

	for (item = json_first(list); item != NULL; item = item->next)
		if (strcmp(json_text_or(item, member, ""), value) == 0)
			return item;
	return NULL;
}

/* "; edge: deployed, west: rolled-back": those looked at since then. */
static void add_targets(struct text *out, const struct json *lineage, int64_t since)
{
	const struct json *target = json_first(json_get(lineage, "targets"));
	const char *before = "; ";

	for (; target != NULL; target = target->next) {
		if (json_number(target, "checked_at") < since)
			continue;
		text_add(out, before);
		text_add_shown(out, json_text_or(target, "name", "?"));
		text_add(out, ": ");
		text_add_shown(out, json_text_or(target, "state", "unknown"));
		before = ", ";
	}
}

/* ", valid until 2027-02-19; edge: deployed": what is so now. After a failure what was issued may
 * not be what is served, and how an earlier run ended would read as the failure of this one: only
 * the targets are told that it has come to. */
static void add_state(struct text *out, const struct json *status, const struct json *result,
	int64_t begun_at)
{
	const struct json *certificate = find(json_get(status, "certificates"), "name",
		json_text_or(result, "name", ""));
	const struct json *lineage = find(json_get(certificate, "lineages"), "key",
		json_text_or(result, "key", ""));
	int64_t until = json_number(json_get(lineage, "issued"), "not_after");
	int has_failed = json_first(json_get(result, "error")) != NULL;

	if (until == 0) {
		text_add(out, ", not issued yet");
		return;
	}
	if (!has_failed) {
		text_add(out, ", valid until ");
		text_add_day(out, until);
	}
	add_targets(out, lineage, has_failed ? begun_at : 0);
}

static void add_subject(struct text *out, const struct json *result)
{
	const char *key = json_text(result, "key");

	text_add_shown(out, json_text_or(result, "name", "?"));
	if (key != NULL) {
		text_add(out, " ");
		text_add_shown(out, key);
	}
}

static void say_reason(const struct json *error, const char *subject)
{
	struct fault fault = fault_of_json(error);
	struct text text = {0};

	fault_add(&text, &fault, subject);
	complain_lines(&text);
	text_free(&text);
}

static const char *word_for(const struct words *words, const char *outcome)
{
	if (strcmp(outcome, "done") == 0)
		return words->done;
	return strcmp(outcome, "unchanged") == 0 ? words->unchanged : outcome;
}

/* status: NULL where no state is to be told. */
static void say_line(const struct json *result, const struct json *status,
	const struct words *words, const char *outcome, const char *subject)
{
	int64_t retry_at = json_number(json_get(result, "error"), "retry_at");
	struct text line = {0};

	text_printf(&line, "%s: %s", subject, word_for(words, outcome));
	if (retry_at != 0) {
		text_add(&line, ", not before ");
		text_add_time(&line, retry_at);
	} else if (status != NULL && json_text(result, "key") != NULL) {
		add_state(&line, status, result, words->begun_at);
	}
	text_add(&line, "\n");
	say(&line);
	text_free(&line);
}

static void count(struct results *results, const char *outcome)
{
	if (strcmp(outcome, "failed") == 0)
		results->n_failed++;
	else if (strcmp(outcome, "later") == 0)
		results->n_later++;
	else
		results->n_done++;
}

static struct json *load_status(struct shell *shell)
{
	const struct strings *operands = &shell->options.operands;
	struct json *status = NULL;
	char *text = NULL;

	/* Only to say more: without it less is said. */
	if (certauto_fleet_dup_status(&text, shell->fleet, operands->n > 0 ?
			(const char *const *)operands->items : NULL, operands->n) == 0)
		status = json_parse(text);
	certauto_mem_free(text);
	return status;
}

/* What was cancelled by our own signal needs no explanation. */
static int is_interrupted(const struct json *error)
{
	const char *canceled = certauto_error_name(CERTAUTO_ECANCELED);

	return shell_signal() != 0 && strcmp(json_text_or(error, "code", ""), canceled) == 0;
}

static void say_all(struct shell *shell, const struct json *list, struct results *tally,
	const struct words *words)
{
	struct json *status = shell->json || !words->with_state ? NULL : load_status(shell);
	const struct json *result, *error;
	struct text subject = {0};

	for (result = json_first(list); result != NULL; result = result->next) {
		const char *outcome = json_text_or(result, "outcome", "failed");

		count(tally, outcome);
		text_free(&subject);
		add_subject(&subject, result);
		error = json_get(result, "error");
		if (is_interrupted(error))
			outcome = "interrupted";
		if (!shell->json)
			say_line(result, status, words, outcome, text_of(&subject));
		if (json_first(error) != NULL && !is_interrupted(error))
			say_reason(error, text_of(&subject));
	}
	text_free(&subject);
	json_free(status);
}

int results_say(struct shell *shell, int rc, const struct words *words)
{
	struct failure failure = failure_keep(shell, rc);
	struct results tally = {0};
	struct json *list = NULL;
	char *text = NULL;
	int status;

	if (certauto_fleet_dup_results(&text, shell->fleet) == 0)
		list = json_parse(text);
	if (json_first(list) != NULL) {
		if (shell->json)
			say_json(shell, text);
		say_all(shell, list, &tally, words);
		status = results_status(&tally);
		/* Something failed that belongs to none of them. */
		if (rc < 0 && status == STATUS_DONE)
			status = failure_say(&failure, 0);
	} else if (rc < 0) {
		status = failure_say(&failure, shell->json);
	} else {
		if (shell->json)
			say_json(shell, "[]");
		status = STATUS_DONE;
	}
	failure_free(&failure);
	json_free(list);
	certauto_mem_free(text);
	return shell_status(status);
}

/* ---- of a verb without a fleet ---- */

const char *results_count(struct results *results, const struct failure *failure)
{
	const char *outcome = "done";

	if (failure->status == STATUS_LATER)
		outcome = "later";
	else if (failure->status != STATUS_DONE)
		outcome = "failed";
	count(results, outcome);
	if (failure->status != STATUS_DONE)
		(void)failure_say(failure, 0);
	return outcome;
}

void results_add(
	struct results *results, struct shell *shell, const char *name, const char *key, int rc)
{
	struct failure failure = failure_keep(shell, rc);

	text_add(&results->json, results->json.len > 0 ? ",{\"name\":" : "{\"name\":");
	text_add_json(&results->json, name);
	text_add(&results->json, ",\"key\":");
	text_add_json(&results->json, key);
	text_printf(&results->json, ",\"outcome\":\"%s\",\"error\":%s}",
		results_count(results, &failure), rc == 0 ? "null" : text_of(&failure.json));
	failure_free(&failure);
}

int results_say_own(struct shell *shell, struct results *results)
{
	struct text list = {0};

	text_printf(&list, "[%s]", text_of(&results->json));
	if (shell->json)
		say_json(shell, text_of(&list));
	text_free(&list);
	text_free(&results->json);
	return shell_status(results_status(results));
}
