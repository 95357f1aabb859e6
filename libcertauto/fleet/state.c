/* SPDX-License-Identifier: Apache-2.0 */
/* status.json of a lineage: how its last order went and how it is at each target. What is issued
 * is not repeated here: the current generation says that. */

#include <string.h>

#include "core/memory.h"
#include "fleet/fleet.h"
#include "fleet/node.h"

#define STATE_VERSION 1
#define CODES_MAX 64 /* more error codes than there will be */

/* ---- errors ---- */

static void write_subproblems(certauto__json *w, const certauto_error *error)
{
	size_t i;

	certauto__json_key(w, "subproblems");
	certauto__json_array(w);
	for (i = 0; i < error->n_subproblems; i++) {
		certauto__json_object(w);
		certauto__json_put_text(w, "name", error->subproblems[i].name);
		certauto__json_put_text(w, "type", error->subproblems[i].problem);
		certauto__json_put_text(w, "detail", error->subproblems[i].detail);
		certauto__json_object_end(w);
	}
	certauto__json_array_end(w);
}

void certauto__error_write(certauto__json *w, const certauto_error *error)
{
	if (error == NULL || error->code == 0) {
		certauto__json_null(w);
		return;
	}
	certauto__json_object(w);
	certauto__json_put_text(w, "code", certauto_error_name(error->code));
	certauto__json_put_text(w, "message", certauto_error_message(error));
	certauto__json_put_text(w, "advice", error->advice);
	certauto__json_put_text(w, "object", error->object);
	certauto__json_put_text(w, "type", error->problem);
	certauto__json_key(w, "status");
	if (error->status != 0)
		certauto__json_number(w, error->status);
	else
		certauto__json_null(w);
	certauto__json_key(w, "retry_at");
	if (error->retry_at != 0)
		certauto__json_number(w, error->retry_at);
	else
		certauto__json_null(w);
	write_subproblems(w, error);
	certauto__json_object_end(w);
}

static const char *text_of(const struct certauto__node *object, const char *key)
{
	const struct certauto__node *node = certauto__node_get(object, key);

	return node != NULL && node->type == CERTAUTO__JSON_STRING ? node->text : NULL;
}

static int64_t number_of(const struct certauto__node *object, const char *key)
{
	const struct certauto__node *node = certauto__node_get(object, key);
	int64_t number = 0;

	if (node != NULL && node->type == CERTAUTO__JSON_NUMBER)
		(void)certauto__number_parse(node->text, 0, INT64_MAX, &number);
	return number;
}

/* A newer version's code is kept as a failure of unknown kind. */
static int code_of(const char *name)
{
	int code;

	for (code = -1; code > -CODES_MAX; code--)
		if (certauto__text_equal(certauto_error_name(code), name))
			return code;
	return CERTAUTO_EIO;
}

static void read_error(certauto_error *out, const struct certauto__node *node)
{
	const struct certauto__node *sub;

	if (node == NULL || node->type != CERTAUTO__JSON_OBJECT || text_of(node, "code") == NULL)
		return;
	certauto__error_set(out, code_of(text_of(node, "code")), text_of(node, "object"), "%s",
		text_of(node, "message") != NULL ? text_of(node, "message") : "unknown");
	if (text_of(node, "advice") != NULL)
		certauto__error_advise(out, "%s", text_of(node, "advice"));
	certauto__error_set_problem(out, text_of(node, "type"));
	out->status = (int)number_of(node, "status");
	out->retry_at = number_of(node, "retry_at");
	sub = certauto__node_get(node, "subproblems");
	for (sub = sub != NULL ? sub->children : NULL; sub != NULL; sub = sub->next)
		certauto__error_add_subproblem(out, text_of(sub, "name"), text_of(sub, "type"),
			text_of(sub, "detail"));
}

/* ---- targets ---- */

static void target_state_free(struct certauto__target_state *target)
{
	certauto__free(target->name);
	certauto__free(target->state);
	certauto__free(target->fingerprint);
	certauto__error_clear(&target->error);
}

void certauto__state_free(struct certauto__lineage_state *state)
{
	size_t i;

	for (i = 0; i < state->n_targets; i++)
		target_state_free(&state->targets[i]);
	certauto__free(state->targets);
	certauto__free(state->revoked);
	certauto__free(state->no_replaces);
	certauto__free(state->identity);
	certauto__free(state->limited_by);
	certauto__renewal_free(&state->renewal);
	certauto__error_clear(&state->error);
	memset(state, 0, sizeof(*state));
}

static int replace(char **at, const char *value)
{
	char *copy = NULL;

	if (value != NULL && (copy = certauto__strdup(value)) == NULL)
		return CERTAUTO_ENOMEM;
	certauto__free(*at);
	*at = copy;
	return 0;
}

/* That something may be left there outlives states that say nothing of it. */
int certauto__target_state_set(struct certauto__target_state *target, const char *state,
	const char *fingerprint)
{
	int rc;

	if (strcmp(state, CERTAUTO__STATE_NOT_SAVED) == 0 ||
	    strcmp(state, CERTAUTO__STATE_INCONSISTENT) == 0)
		target->unfinished = 1;
	else if (strcmp(state, CERTAUTO__STATE_DEPLOYED) == 0 ||
		 strcmp(state, CERTAUTO__STATE_UNPROVED) == 0)
		target->unfinished = 0;
	if ((rc = replace(&target->state, state)) < 0)
		return rc;
	return replace(&target->fingerprint, fingerprint);
}

const struct certauto__target_state *certauto__state_find(const struct certauto__lineage_state
								  *state,
	const char *name)
{
	size_t i;

	for (i = 0; i < state->n_targets; i++)
		if (strcmp(state->targets[i].name, name) == 0)
			return &state->targets[i];
	return NULL;
}

struct certauto__target_state *certauto__state_target(struct certauto__lineage_state *state,
	const char *name)
{
	struct certauto__target_state *targets, fresh = {0};
	size_t i;

	for (i = 0; i < state->n_targets; i++)
		if (strcmp(state->targets[i].name, name) == 0)
			return &state->targets[i];
	targets = certauto__realloc(state->targets, (state->n_targets + 1) * sizeof(*targets));
	if (targets == NULL)
		return NULL;
	state->targets = targets;
	fresh.name = certauto__strdup(name);
	if (fresh.name == NULL ||
	    certauto__target_state_set(&fresh, CERTAUTO__STATE_PENDING, NULL) < 0) {
		target_state_free(&fresh);
		return NULL;
	}
	targets[state->n_targets] = fresh;
	return &targets[state->n_targets++];
}

void certauto__state_prune(struct certauto__lineage_state *state,
	const struct certauto__certificate *certificate)
{
	size_t i, j, n = 0;

	for (i = 0; i < state->n_targets; i++) {
		for (j = 0; j < certificate->n_deploys; j++)
			if (strcmp(certificate->deploys[j].label, state->targets[i].name) == 0)
				break;
		if (j < certificate->n_deploys)
			state->targets[n++] = state->targets[i];
		else
			target_state_free(&state->targets[i]);
	}
	state->n_targets = n;
}

/* ---- the document ---- */

static void put_time(certauto__json *w, const char *key, int64_t at)
{
	if (at != 0)
		certauto__json_put_number(w, key, at);
	else
		certauto__json_put_null(w, key);
}

static void write_target(certauto__json *w, const struct certauto__target_state *target)
{
	certauto__json_object(w);
	certauto__json_put_text(w, "name", target->name);
	certauto__json_put_text(w, "state", target->state);
	certauto__json_put_text(w, "fingerprint_sha256", target->fingerprint);
	put_time(w, "checked_at", target->checked_at);
	certauto__json_put_bool(w, "unfinished", target->unfinished);
	certauto__json_key(w, "last_error");
	certauto__error_write(w, &target->error);
	certauto__json_object_end(w);
}

static void write_renewal(certauto__json *w, const struct certauto__renewal *renewal)
{
	certauto__json_key(w, "renewal");
	if (renewal->id == NULL) {
		certauto__json_null(w);
		return;
	}
	certauto__json_object(w);
	certauto__json_put_text(w, "id", renewal->id);
	put_time(w, "start", renewal->start);
	put_time(w, "end", renewal->end);
	put_time(w, "at", renewal->at);
	put_time(w, "check_at", renewal->check_at);
	certauto__json_put_number(w, "failures", renewal->failures);
	certauto__json_put_text(w, "explanation_url", renewal->explanation_url);
	certauto__json_object_end(w);
}

static void write_order(certauto__json *w, const struct certauto__lineage_state *state)
{
	put_time(w, "early_at", state->early_at);
	put_time(w, "retry_at", state->retry_at);
	put_time(w, "limited_until", state->limited_until);
	certauto__json_put_text(w, "limited_by", state->limited_by);
	put_time(w, "failing_since", state->failing_since);
	certauto__json_put_number(w, "failures", state->failures);
	certauto__json_put_bool(w, "stopped", state->stopped);
	certauto__json_put_text(w, "identity", state->identity);
	certauto__json_put_text(w, "revoked", state->revoked);
	certauto__json_put_bool(w, "key_compromised", state->key_compromised);
	certauto__json_put_text(w, "no_replaces", state->no_replaces);
	certauto__json_key(w, "last_error");
	certauto__error_write(w, &state->error);
}

int certauto__state_save(const struct certauto__lineage_state *state, certauto_store *store,
	const char *name, const char *key, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	certauto__json w;
	size_t i;
	int rc;

	certauto__json_start(&w, &text, 1);
	certauto__json_object(&w);
	certauto__json_put_number(&w, "version", STATE_VERSION);
	write_renewal(&w, &state->renewal);
	write_order(&w, state);
	certauto__json_key(&w, "targets");
	certauto__json_array(&w);
	for (i = 0; i < state->n_targets; i++)
		write_target(&w, &state->targets[i]);
	certauto__json_array_end(&w);
	certauto__json_object_end(&w);
	if (certauto__buffer_text_add(&text, "\n") < 0)
		rc = certauto__error_nomem(err);
	else
		rc = store->row->status_save(store, name, key, text.data, text.len, err);
	certauto__buffer_free(&text);
	return rc;
}

static int is_true(const struct certauto__node *object, const char *key)
{
	const struct certauto__node *node = certauto__node_get(object, key);

	return node != NULL && node->type == CERTAUTO__JSON_TRUE;
}

static int read_target(struct certauto__lineage_state *out, const struct certauto__node *node)
{
	struct certauto__target_state *target;
	const char *name = text_of(node, "name"), *state = text_of(node, "state");

	if (name == NULL || state == NULL)
		return 0;
	if ((target = certauto__state_target(out, name)) == NULL)
		return CERTAUTO_ENOMEM;
	target->checked_at = number_of(node, "checked_at");
	target->unfinished = is_true(node, "unfinished");
	read_error(&target->error, certauto__node_get(node, "last_error"));
	return certauto__target_state_set(target, state, text_of(node, "fingerprint_sha256"));
}

static int read_renewal(struct certauto__renewal *out, const struct certauto__node *node)
{
	if (node == NULL || node->type != CERTAUTO__JSON_OBJECT)
		return 0;
	out->start = number_of(node, "start");
	out->end = number_of(node, "end");
	out->at = number_of(node, "at");
	out->check_at = number_of(node, "check_at");
	out->failures = number_of(node, "failures");
	if (replace(&out->id, text_of(node, "id")) < 0)
		return CERTAUTO_ENOMEM;
	return replace(&out->explanation_url, text_of(node, "explanation_url"));
}

static int read_order(struct certauto__lineage_state *out, const struct certauto__node *top)
{
	out->early_at = number_of(top, "early_at");
	out->retry_at = number_of(top, "retry_at");
	out->limited_until = number_of(top, "limited_until");
	out->failing_since = number_of(top, "failing_since");
	out->failures = number_of(top, "failures");
	out->stopped = is_true(top, "stopped");
	out->key_compromised = is_true(top, "key_compromised");
	read_error(&out->error, certauto__node_get(top, "last_error"));
	if (replace(&out->identity, text_of(top, "identity")) < 0 ||
	    replace(&out->limited_by, text_of(top, "limited_by")) < 0 ||
	    replace(&out->revoked, text_of(top, "revoked")) < 0)
		return CERTAUTO_ENOMEM;
	return replace(&out->no_replaces, text_of(top, "no_replaces"));
}

static int read_state(struct certauto__lineage_state *out, const struct certauto__node *top)
{
	const struct certauto__node *node;
	int rc;

	if ((rc = read_renewal(&out->renewal, certauto__node_get(top, "renewal"))) == 0)
		rc = read_order(out, top);
	node = certauto__node_get(top, "targets");
	for (node = node != NULL ? node->children : NULL; node != NULL && rc == 0;
		node = node->next)
		rc = read_target(out, node);
	return rc;
}

int certauto__state_load(struct certauto__lineage_state *out, certauto_store *store,
	const char *name, const char *key, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	certauto_error parse = {0};
	struct certauto__config document = { "status.json", store->object.cx, &parse, NULL, NULL };
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = store->row->status_load(store, name, key, &text, err)) < 0) {
		if (rc == CERTAUTO_ENOTFOUND) {
			certauto__error_clear(err);
			rc = 0;
		}
		goto out;
	}
	if ((rc = certauto__node_read(&document, text.data, text.len)) < 0 ||
	    number_of(document.top, "version") != STATE_VERSION) {
		rc = certauto__error_set(err, CERTAUTO_EIO, name,
			"status.json of %s %s is damaged: %s", name, key,
			parse.code != 0 ? certauto_error_message(&parse)
					: "its version is not known");
		certauto__error_advise(err,
			"restore it from a backup; or remove it, which only makes "
			"certauto deploy that certificate once more");
		goto out;
	}
	if ((rc = read_state(out, document.top)) < 0)
		rc = certauto__error_nomem(err);
out:
	if (rc < 0)
		certauto__state_free(out);
	certauto__node_free(document.top);
	certauto__error_clear(&parse);
	certauto__buffer_free(&text);
	return rc;
}
