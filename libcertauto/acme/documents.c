/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of the CA's documents. Each is one function that names the members it takes; what a
 * document means for an order is decided in order.c and authz.c. */
#include "acme/documents.h"

#include <string.h>

#include <certauto/order.h>

#include "core/memory.h"
#include "http/http.h"

#define SHOWN_NAMES_MAX 100 /* profiles, contacts: more are passed over */

/* A reader at work: the document it fills. */
struct reading {
	const struct certauto__origin *origin;
	void *out;
	certauto_error *err;
};

/* ---- pieces ---- */

static int read_document(const struct certauto__origin *origin, certauto__json_cb cb, void *out,
	const void *data, size_t len, certauto_error *err)
{
	struct reading reading = {origin, out, err};

	return certauto__json_read(
		origin->what, data, len, &certauto__json_limits_acme, cb, &reading, err);
}

static int check_url(const struct reading *r, const char *url)
{
	int rc = certauto__url_check(url, r->origin->server, r->origin->allow_hosts, r->err);

	if (rc == CERTAUTO_EPROTO)
		certauto__error_prefix(r->err, "%s", r->origin->what);
	return rc;
}

/* A URL that will be asked; null counts as absent. */
static int take_url(const struct reading *r, const certauto__json_value *value, char **out)
{
	int rc;

	if ((rc = certauto__json_copy(value, out)) < 0 || *out == NULL)
		return rc;
	return check_url(r, *out);
}

static int take_flag(const certauto__json_value *value, int *out)
{
	return value->type == CERTAUTO__JSON_NULL ? 0 : certauto__json_bool(value, out);
}

/* As we compare it (an address may be written in many ways). What is no name stays as it is, and
 * equals none that was ordered. */
static int make_normal(char **name)
{
	char normal[CERTAUTO__NAME_SIZE];
	const char *why;

	if (certauto__name_normal(normal, *name, &why) < 0 || strcmp(normal, *name) == 0)
		return 0;
	certauto__free(*name);
	return (*name = certauto__strdup(normal)) != NULL ? 0 : CERTAUTO_ENOMEM;
}

static int missing(const struct certauto__origin *origin, const char *member, certauto_error *err)
{
	return certauto__error_set(
		err, CERTAUTO_EPROTO, origin->server, "%s has no \"%s\"", origin->what, member);
}

/* What follows prefix in path, or NULL. */
static const char *below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(path, prefix, len) == 0 ? path + len : NULL;
}

/* A problem that is a member: its path is `prefix`, or begins with "prefix.". */
static int take_problem(struct certauto__problem *problem, const char *path, const char *prefix,
	const certauto__json_value *value)
{
	const char *rest = below(path, prefix);

	if (rest == NULL || (*rest != '\0' && *rest != '.'))
		return 0;
	return certauto__problem_member(problem, *rest == '.' ? rest + 1 : rest, value);
}

/* ---- directory ---- */

void certauto__directory_free(struct certauto__directory *directory)
{
	certauto__free(directory->new_nonce);
	certauto__free(directory->new_account);
	certauto__free(directory->new_order);
	certauto__free(directory->new_authz);
	certauto__free(directory->revoke_cert);
	certauto__free(directory->key_change);
	certauto__free(directory->renewal_info);
	certauto__free(directory->terms_url);
	certauto__free(directory->website);
	certauto__list_free(&directory->caa_identities);
	certauto__list_free(&directory->profiles);
	memset(directory, 0, sizeof(*directory));
}

/* Only shown to people, never asked: it may lead anywhere. */
static int take_text(const certauto__json_value *value, char **out)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	int rc;

	if (value->type != CERTAUTO__JSON_STRING || value->len == 0)
		return 0;
	if ((rc = certauto__text_escape(&shown, value->text, value->len)) == 0) {
		certauto__free(*out);
		if ((*out = certauto__buffer_take(&shown)) == NULL)
			rc = CERTAUTO_ENOMEM;
	}
	certauto__buffer_free(&shown);
	return rc;
}

/* Names the CA gives to something of its own: shown and compared, never part of a path. */
static int take_shown(certauto__list *list, const char *text, size_t len)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	int rc;

	if (list->n == SHOWN_NAMES_MAX)
		return 0;
	if ((rc = certauto__text_escape(&shown, text, len)) == 0)
		rc = certauto__list_add_text(list, certauto__buffer_text(&shown));
	certauto__buffer_free(&shown);
	return rc;
}

static int meta_value(struct certauto__directory *directory, const certauto__json_value *value)
{
	if (certauto__json_is(value, "meta.termsOfService"))
		return take_text(value, &directory->terms_url);
	if (certauto__json_is(value, "meta.website"))
		return take_text(value, &directory->website);
	if (certauto__json_is(value, "meta.externalAccountRequired"))
		return take_flag(value, &directory->external_account_required);
	if (certauto__json_is(value, "meta.caaIdentities[]") &&
	    value->type == CERTAUTO__JSON_STRING)
		return take_shown(&directory->caa_identities, value->text, value->len);
	/* A profile's name is a key, which may have dots in it. */
	if (value->n_parts == 3 && certauto__text_starts(value->path, "meta.profiles.") &&
	    value->type != CERTAUTO__JSON_OBJECT_END)
		return take_shown(&directory->profiles, value->path + strlen("meta.profiles."),
			strlen(value->path) - strlen("meta.profiles."));
	return 0;
}

static int directory_value(void *arg, const certauto__json_value *value)
{
	const struct reading *r = arg;
	struct certauto__directory *directory = r->out;

	if (certauto__json_is(value, "newNonce"))
		return take_url(r, value, &directory->new_nonce);
	if (certauto__json_is(value, "newAccount"))
		return take_url(r, value, &directory->new_account);
	if (certauto__json_is(value, "newOrder"))
		return take_url(r, value, &directory->new_order);
	if (certauto__json_is(value, "newAuthz"))
		return take_url(r, value, &directory->new_authz);
	if (certauto__json_is(value, "revokeCert"))
		return take_url(r, value, &directory->revoke_cert);
	if (certauto__json_is(value, "keyChange"))
		return take_url(r, value, &directory->key_change);
	if (certauto__json_is(value, "renewalInfo"))
		return take_url(r, value, &directory->renewal_info);
	return certauto__text_starts(value->path, "meta.") ? meta_value(directory, value) : 0;
}

int certauto__directory_parse(struct certauto__directory *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = read_document(origin, directory_value, out, data, len, err)) == 0) {
		if (out->new_nonce == NULL)
			rc = missing(origin, "newNonce", err);
		else if (out->new_account == NULL)
			rc = missing(origin, "newAccount", err);
		else if (out->new_order == NULL)
			rc = missing(origin, "newOrder", err);
		if (rc < 0)
			certauto__error_advise(
				err, "check that the server is the URL of an ACME directory");
	}
	if (rc < 0)
		certauto__directory_free(out);
	return rc;
}

/* ---- order ---- */

static const char *const order_states[] = {
	"new", "pending", "ready", "processing", "valid", "invalid"};

static int order_status(const char *text)
{
	int i;

	for (i = CERTAUTO_ORDER_PENDING; i <= CERTAUTO_ORDER_INVALID; i++)
		if (strcmp(text, order_states[i]) == 0)
			return i;
	return CERTAUTO_ORDER_NEW;
}

void certauto__order_document_free(struct certauto__order_document *order)
{
	certauto__free(order->status_text);
	certauto__free(order->finalize);
	certauto__free(order->certificate);
	certauto__list_free(&order->names);
	certauto__list_free(&order->authorizations);
	certauto__problem_free(&order->problem);
	memset(order, 0, sizeof(*order));
}

static int take_name(struct certauto__order_document *order, const certauto__json_value *value)
{
	int rc;

	if (value->type != CERTAUTO__JSON_STRING || order->names.n == CERTAUTO__IDENTIFIERS_MAX)
		return CERTAUTO_EPROTO;
	if ((rc = certauto__list_add(&order->names, value->text, value->len)) == 0)
		rc = make_normal(&order->names.items[order->names.n - 1]);
	return rc;
}

static int take_authorization(const struct reading *r, const certauto__json_value *value)
{
	struct certauto__order_document *order = r->out;
	int rc;

	if (value->type != CERTAUTO__JSON_STRING ||
	    order->authorizations.n == CERTAUTO__IDENTIFIERS_MAX)
		return CERTAUTO_EPROTO;
	if ((rc = check_url(r, value->text)) < 0)
		return rc;
	return certauto__list_add(&order->authorizations, value->text, value->len);
}

static int order_value(void *arg, const certauto__json_value *value)
{
	const struct reading *r = arg;
	struct certauto__order_document *order = r->out;

	if (certauto__json_is(value, "status"))
		return certauto__json_copy(value, &order->status_text);
	if (certauto__json_is(value, "identifiers[].value"))
		return take_name(order, value);
	if (certauto__json_is(value, "authorizations[]"))
		return take_authorization(r, value);
	if (certauto__json_is(value, "finalize"))
		return take_url(r, value, &order->finalize);
	if (certauto__json_is(value, "certificate"))
		return take_url(r, value, &order->certificate);
	return take_problem(&order->problem, value->path, "error", value);
}

/* An unknown state is told in words: guessing what it means could issue twice. */
static int unknown_state(
	const struct certauto__origin *origin, const char *text, certauto_error *err)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	int rc;

	if (text == NULL)
		return missing(origin, "status", err);
	rc = certauto__text_escape(&shown, text, strlen(text));
	rc = certauto__error_set(err, rc < 0 ? rc : CERTAUTO_EPROTO, origin->server,
		"%s is in the unknown state \"%s\"", origin->what, certauto__buffer_text(&shown));
	certauto__buffer_free(&shown);
	return rc;
}

int certauto__order_document_parse(struct certauto__order_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = read_document(origin, order_value, out, data, len, err)) < 0)
		goto out;
	out->status =
		out->status_text != NULL ? order_status(out->status_text) : CERTAUTO_ORDER_NEW;
	if (out->status == CERTAUTO_ORDER_NEW)
		rc = unknown_state(origin, out->status_text, err);
	else if (out->status == CERTAUTO_ORDER_VALID && out->certificate == NULL)
		rc = missing(origin, "certificate", err);
	else if (out->status == CERTAUTO_ORDER_PENDING && out->authorizations.n == 0)
		rc = missing(origin, "authorizations", err);
	else if (out->finalize == NULL && out->status <= CERTAUTO_ORDER_READY)
		rc = missing(origin, "finalize", err);
out:
	if (rc < 0)
		certauto__order_document_free(out);
	return rc;
}

/* ---- authorization and challenge ---- */

static enum certauto__authz_status authz_status(const char *text)
{
	static const struct {
		const char *text;
		enum certauto__authz_status status;
	} states[] = {
		{"pending", CERTAUTO__AUTHZ_PENDING},
		{"processing", CERTAUTO__AUTHZ_PROCESSING},
		{"valid", CERTAUTO__AUTHZ_VALID},
		{"invalid", CERTAUTO__AUTHZ_INVALID},
		{"deactivated", CERTAUTO__AUTHZ_ENDED},
		{"expired", CERTAUTO__AUTHZ_ENDED},
		{"revoked", CERTAUTO__AUTHZ_ENDED},
	};
	size_t i;

	for (i = 0; text != NULL && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(text, states[i].text) == 0)
			return states[i].status;
	return CERTAUTO__AUTHZ_NONE;
}

void certauto__challenge_free(struct certauto__challenge *challenge)
{
	certauto__free(challenge->type);
	certauto__free(challenge->url);
	certauto__free(challenge->token);
	certauto__free(challenge->status_text);
	certauto__list_free(&challenge->issuers);
	certauto__problem_free(&challenge->problem);
	memset(challenge, 0, sizeof(*challenge));
}

/* One more than is allowed, so that it can be told; what is no text is no name either. */
static int take_issuer(certauto__list *issuers, const certauto__json_value *value)
{
	if (issuers->n > CERTAUTO__ISSUERS_MAX)
		return 0;
	return certauto__list_add_text(
		issuers, value->type == CERTAUTO__JSON_STRING ? value->text : "");
}

/* The URL is checked only when the challenge is chosen: of a type we do not know it may be
 * anything. */
static int challenge_member(struct certauto__challenge *challenge, const char *member,
	const certauto__json_value *value)
{
	if (strcmp(member, "type") == 0)
		return certauto__json_copy(value, &challenge->type);
	if (strcmp(member, "url") == 0)
		return certauto__json_copy(value, &challenge->url);
	if (strcmp(member, "status") == 0)
		return certauto__json_copy(value, &challenge->status_text);
	/* A type we do not know may have a token of another form. */
	if (strcmp(member, "token") == 0 && value->type == CERTAUTO__JSON_STRING)
		return certauto__json_copy(value, &challenge->token);
	if (strcmp(member, "issuer-domain-names[]") == 0)
		return take_issuer(&challenge->issuers, value);
	return take_problem(&challenge->problem, member, "error", value);
}

static int challenge_value(void *arg, const certauto__json_value *value)
{
	const struct reading *r = arg;

	return challenge_member(r->out, value->path, value);
}

int certauto__challenge_parse(struct certauto__challenge *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = read_document(origin, challenge_value, out, data, len, err)) < 0)
		certauto__challenge_free(out);
	else
		out->status = authz_status(out->status_text);
	return rc;
}

void certauto__authz_document_free(struct certauto__authz_document *authz)
{
	size_t i;

	for (i = 0; i < authz->n_challenges; i++)
		certauto__challenge_free(&authz->challenges[i]);
	certauto__free(authz->status_text);
	certauto__free(authz->name);
	memset(authz, 0, sizeof(*authz));
}

static int authz_challenge_value(struct certauto__authz_document *authz, const char *member,
	const certauto__json_value *value)
{
	size_t i;

	if (value->n_parts < 3) /* a key that only looks like a path */
		return CERTAUTO_EPROTO;
	if ((i = value->indexes[1]) >= CERTAUTO__CHALLENGES_MAX)
		return 0;
	if (i >= authz->n_challenges)
		authz->n_challenges = i + 1;
	return challenge_member(&authz->challenges[i], member, value);
}

static int authz_value(void *arg, const certauto__json_value *value)
{
	const struct reading *r = arg;
	struct certauto__authz_document *authz = r->out;
	const char *member;

	if (certauto__json_is(value, "status"))
		return certauto__json_copy(value, &authz->status_text);
	if (certauto__json_is(value, "identifier.value"))
		return certauto__json_copy(value, &authz->name);
	if (certauto__json_is(value, "wildcard"))
		return take_flag(value, &authz->wildcard);
	if ((member = below(value->path, "challenges[].")) != NULL)
		return authz_challenge_value(authz, member, value);
	return 0;
}

/* The CA shows a wildcard as its base name and a flag (RFC 8555 7.1.4). */
static int authz_make_name(struct certauto__authz_document *authz)
{
	size_t len;
	char *name;
	int rc;

	if ((rc = make_normal(&authz->name)) < 0 || !authz->wildcard ||
	    certauto__text_starts(authz->name, "*."))
		return rc;
	len = strlen(authz->name);
	if ((name = certauto__alloc(len + 3)) == NULL)
		return CERTAUTO_ENOMEM;
	memcpy(name, "*.", 2);
	memcpy(name + 2, authz->name, len + 1);
	certauto__free(authz->name);
	authz->name = name;
	return 0;
}

int certauto__authz_document_parse(struct certauto__authz_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err)
{
	size_t i;
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = read_document(origin, authz_value, out, data, len, err)) < 0)
		goto out;
	for (i = 0; i < out->n_challenges; i++)
		out->challenges[i].status = authz_status(out->challenges[i].status_text);
	out->status = authz_status(out->status_text);
	if (out->status == CERTAUTO__AUTHZ_NONE)
		rc = unknown_state(origin, out->status_text, err);
	else if (out->name == NULL)
		rc = missing(origin, "identifier", err);
	else
		rc = authz_make_name(out);
out:
	if (rc < 0)
		certauto__authz_document_free(out);
	return rc;
}

const struct certauto__challenge *certauto__authz_document_challenge(
	const struct certauto__authz_document *authz, const char *type)
{
	size_t i;

	for (i = 0; i < authz->n_challenges; i++)
		if (certauto__text_equal(authz->challenges[i].type, type))
			return &authz->challenges[i];
	return NULL;
}

/* ---- account ---- */

void certauto__account_document_free(struct certauto__account_document *account)
{
	certauto__free(account->status);
	certauto__free(account->orders);
	certauto__list_free(&account->contacts);
	memset(account, 0, sizeof(*account));
}

static int account_value(void *arg, const certauto__json_value *value)
{
	const struct reading *r = arg;
	struct certauto__account_document *account = r->out;

	if (certauto__json_is(value, "orders"))
		return take_url(r, value, &account->orders);
	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if (certauto__json_is(value, "contact[]"))
		return take_shown(&account->contacts, value->text, value->len);
	if (!certauto__json_is(value, "status"))
		return 0;
	account->valid = strcmp(value->text, "deactivated") != 0 &&
		strcmp(value->text, "revoked") != 0;
	return take_text(value, &account->status);
}

int certauto__account_document_parse(struct certauto__account_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	out->valid = 1;
	if ((rc = read_document(origin, account_value, out, data, len, err)) < 0)
		certauto__account_document_free(out);
	return rc;
}

/* ---- orders of an account ---- */

static int orders_value(void *arg, const certauto__json_value *value)
{
	const struct reading *r = arg;
	int rc;

	if (!certauto__json_is(value, "orders[]"))
		return 0;
	if (value->type != CERTAUTO__JSON_STRING)
		return CERTAUTO_EPROTO;
	if ((rc = check_url(r, value->text)) < 0)
		return rc;
	return certauto__list_add_text(r->out, value->text);
}

int certauto__orders_document_parse(certauto__list *out, const struct certauto__origin *origin,
	const void *data, size_t len, certauto_error *err)
{
	return read_document(origin, orders_value, out, data, len, err);
}
