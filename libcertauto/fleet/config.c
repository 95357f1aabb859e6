/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: accounts, targets and the frame. Nothing here touches the network or the
 * store: whatever is wrong is told before anything has begun. Certificates are in
 * config_certificate.c. */

#include "fleet/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"

#define STATE_DEFAULT "/var/lib/certauto"

/* ---- the fleet ---- */

static void use_free(struct certauto__use *use)
{
	certauto__free(use->label);
	certauto__list_free(&use->patterns);
	certauto_target_free(use->target);
}

static void certificate_free(struct certauto__certificate *certificate)
{
	size_t i;

	for (i = 0; i < certificate->n_challenges; i++)
		use_free(&certificate->challenges[i]);
	for (i = 0; i < certificate->n_deploys; i++)
		use_free(&certificate->deploys[i]);
	certauto__free(certificate->challenges);
	certauto__free(certificate->deploys);
	certauto__free(certificate->name);
	certauto_account_free(certificate->account);
	certauto__free(certificate->profile);
	certauto__free(certificate->preferred_chain);
	certauto__list_free(&certificate->names);
	certauto__list_free(&certificate->keys);
	certauto__req_free(certificate->csr);
	certauto_target_free(certificate->maker);
}

static void fleet_destroy(void *object)
{
	certauto_fleet *fleet = object;
	size_t i;

	for (i = 0; i < fleet->n_certificates; i++)
		certificate_free(&fleet->certificates[i]);
	for (i = 0; i < fleet->n_targets; i++)
		certauto_target_free(fleet->targets[i]);
	for (i = 0; i < fleet->n_accounts; i++)
		certauto_account_free(fleet->accounts[i]);
	certauto__free(fleet->certificates);
	certauto__free(fleet->targets);
	certauto__free(fleet->accounts);
	certauto__results_free(fleet);
	certauto_store_free(fleet->store);
}

certauto_account *certauto__fleet_find_account(const certauto_fleet *fleet, const char *name)
{
	size_t i;

	for (i = 0; i < fleet->n_accounts; i++)
		if (strcmp(fleet->accounts[i]->name, name) == 0)
			return fleet->accounts[i];
	return NULL;
}

certauto_target *certauto__fleet_find_target(const certauto_fleet *fleet, const char *name)
{
	size_t i;

	for (i = 0; i < fleet->n_targets; i++)
		if (strcmp(fleet->targets[i]->label, name) == 0)
			return fleet->targets[i];
	return NULL;
}

struct certauto__certificate *certauto__fleet_find_certificate(const certauto_fleet *fleet,
	const char *name)
{
	size_t i;

	for (i = 0; i < fleet->n_certificates; i++)
		if (strcmp(fleet->certificates[i].name, name) == 0)
			return &fleet->certificates[i];
	return NULL;
}

int certauto__fleet_named(const struct certauto__certificate **out, const certauto_fleet *fleet,
	const char *name, certauto_error *err)
{
	certauto__buffer list = CERTAUTO__BUFFER(512);
	size_t i;
	int rc;

	if (name == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "a name is NULL");
	if ((*out = certauto__fleet_find_certificate(fleet, name)) != NULL)
		return 0;
	for (i = 0; i < fleet->n_certificates; i++)
		certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "",
			fleet->certificates[i].name);
	rc = certauto__error_set(err, CERTAUTO_ENOTFOUND, name,
		"there is no certificate \"%.80s\"; there are: %s", name,
		list.len > 0 ? certauto__buffer_text(&list) : "none");
	certauto__buffer_free(&list);
	return rc;
}

/* ---- accounts ---- */

static int read_hmac(const struct certauto__config *config, const struct certauto__node *kid,
	struct certauto__node *hmac, certauto_account *account)
{
	int rc;

	if ((rc = certauto__config_secret(config, hmac)) < 0)
		return rc;
	return certauto__config_wrap(config, hmac,
		certauto__account_set_eab(account, kid->text, hmac->text, hmac->len, config->err));
}

static int read_eab(const struct certauto__config *config, const struct certauto__node *eab,
	certauto_account *account)
{
	static const char *const known[] = { "kid", "hmac", "alg", NULL };
	const struct certauto__node *kid = certauto__node_get(eab, "kid"),
				    *alg = certauto__node_get(eab, "alg");
	struct certauto__node *hmac;
	int rc;

	if (eab == NULL)
		return 0;
	if ((rc = certauto__config_object(config, eab)) < 0 ||
	    (rc = certauto__config_keys(config, eab, "eab", known)) < 0)
		return rc;
	for (hmac = eab->children; hmac != NULL && strcmp(hmac->key, "hmac") != 0;
		hmac = hmac->next)
		;
	if (kid == NULL || hmac == NULL)
		return certauto__config_fail(config, eab, "eab must have \"%s\"",
			kid == NULL ? "kid" : "hmac");
	if (kid->type != CERTAUTO__JSON_STRING || kid->len == 0 ||
	    (alg != NULL && alg->type != CERTAUTO__JSON_STRING))
		return certauto__config_fail(config, eab,
			"kid and alg must be strings that are not empty");
	if ((rc = read_hmac(config, kid, hmac, account)) < 0 || alg == NULL)
		return rc;
	return certauto__config_wrap(
		config, alg, certauto__account_set_eab_alg(account, alg->text, config->err));
}

static int read_key_type(const struct certauto__config *config, const struct certauto__node *node,
	certauto_account *account)
{
	if (node == NULL)
		return 0;
	if (node->type != CERTAUTO__JSON_STRING)
		return certauto__config_fail(config, node, "key must be a type of key");
	return certauto__config_wrap(config, node,
		certauto__account_set_key_type(account, node->text, config->err));
}

static int read_ca_file(const struct certauto__config *config, const struct certauto__node *node,
	certauto_account *account)
{
	const char *reason;
	int rc;

	if (node == NULL)
		return 0;
	if ((rc = certauto__config_text(config, node, &account->ca_file)) < 0)
		return rc;
	if (access(account->ca_file, R_OK) == 0)
		return 0;
	reason = strerrordesc_np(errno);
	return certauto__config_fail(config, node, "cannot read ca_file %s: %s", account->ca_file,
		reason != NULL ? reason : "unknown error");
}

/* Each string of a list goes into the account. */
static int read_each(const struct certauto__config *config, const struct certauto__node *node,
	certauto_account *account,
	int (*add)(certauto_account *account, const char *text, certauto_error *err))
{
	certauto__list texts = {0};
	size_t i;
	int rc;

	rc = certauto__config_list(config, node, &texts);
	for (i = 0; rc == 0 && i < texts.n; i++)
		rc = certauto__config_wrap(
			config, node, add(account, texts.items[i], config->err));
	certauto__list_free(&texts);
	return rc;
}

static int read_account_members(const struct certauto__config *config,
	const struct certauto__node *node, certauto_account *account)
{
	static const char *const known[] = {
		"server", "contact", "agree_tos", "ca_file", "eab", "key", "allow_hosts", NULL};
	int rc;

	if ((rc = certauto__config_keys(config, node, "an account", known)) < 0 ||
	    (rc = read_each(config, certauto__node_get(node, "contact"), account,
		     certauto__account_add_contact_text)) < 0 ||
	    (rc = read_each(config, certauto__node_get(node, "allow_hosts"), account,
		     certauto__account_allow_host)) < 0 ||
	    (rc = read_key_type(config, certauto__node_get(node, "key"), account)) < 0 ||
	    (rc = certauto__config_flag(config, certauto__node_get(node, "agree_tos"),
		     &account->agree_tos)) < 0 ||
	    (rc = read_ca_file(config, certauto__node_get(node, "ca_file"), account)) < 0)
		return rc;
	return read_eab(config, certauto__node_get(node, "eab"), account);
}

static int read_account(const struct certauto__config *config, const struct certauto__node *node,
	certauto_fleet *fleet)
{
	const struct certauto__node *server;
	certauto_account *account = NULL;
	char *name;
	int rc;

	if ((rc = certauto__config_object(config, node)) < 0 ||
	    (rc = certauto__config_wrap(config, node,
		     certauto__store_name_check("account", node->key, config->err))) < 0)
		return rc;
	if ((server = certauto__node_get(node, "server")) == NULL)
		return certauto__config_fail(config, node, "account \"%.64s\" has no \"server\"",
			node->key);
	if (server->type != CERTAUTO__JSON_STRING)
		return certauto__config_fail(config, server,
			"server must be the URL of an ACME directory");
	if ((rc = certauto__config_wrap(config, server,
		     certauto__account_make(&account, config->cx, server->text, config->err))) < 0)
		return rc;
	fleet->accounts[fleet->n_accounts++] = account;
	if ((name = certauto__strdup(node->key)) == NULL)
		return certauto__error_nomem(config->err);
	certauto__free(account->name);
	account->name = name;
	account->store = certauto__object_ref(fleet->store);
	return read_account_members(config, node, account);
}

/* ---- targets ---- */

static int value_of_list(const struct certauto__config *config, const struct certauto__node *node,
	certauto__buffer *out)
{
	const struct certauto__node *item;

	for (item = node->children; item != NULL; item = item->next) {
		if (item->type != CERTAUTO__JSON_STRING && item->type != CERTAUTO__JSON_NUMBER)
			return certauto__config_fail(config, item,
				"%.80s must be a list of strings", node->key);
		if (strchr(item->text, ',') != NULL)
			return certauto__config_fail(config, item,
				"%.80s: an item of a list has no comma in it", node->key);
		certauto__buffer_printf(out, "%s%s", item == node->children ? "" : ",", item->text);
	}
	return 0;
}

static int value_of_argv(const struct certauto__config *config, const struct certauto__node *node,
	certauto__buffer *out)
{
	const struct certauto__node *item;
	certauto__json w;

	certauto__json_start(&w, out, 0);
	certauto__json_array(&w);
	for (item = node->children; item != NULL; item = item->next) {
		if (item->type != CERTAUTO__JSON_STRING)
			return certauto__config_fail(config, item,
				"%.80s must be a list of strings", node->key);
		certauto__json_text(&w, item->text);
	}
	certauto__json_array_end(&w);
	return 0;
}

/* Everything reaches a target as a string, whatever face of the library it came through. */
static int value_of(const struct certauto__config *config, const struct certauto__node *node,
	enum certauto__option_type type, certauto__buffer *out)
{
	switch (node->type) {
	case CERTAUTO__JSON_STRING:
	case CERTAUTO__JSON_NUMBER:
		certauto__buffer_add(out, node->text, node->len);
		break;
	case CERTAUTO__JSON_TRUE:
	case CERTAUTO__JSON_FALSE:
		certauto__buffer_text_add(out, node->type == CERTAUTO__JSON_TRUE ? "yes" : "no");
		break;
	case CERTAUTO__JSON_ARRAY:
		return type == CERTAUTO__OPTION_ARGV ? value_of_argv(config, node, out) :
			value_of_list(config, node, out);
	default:
		return certauto__config_fail(config, node,
			"%.80s must be a string, a number, true, false or a list of strings",
			node->key);
	}
	return out->rc < 0 ? certauto__error_nomem(config->err) : 0;
}

static int set_option(const struct certauto__config *config, struct certauto__node *node,
	certauto_target *target)
{
	certauto__buffer value = CERTAUTO__BUFFER(1024 * 1024);
	enum certauto__option_type type = CERTAUTO__OPTION_TEXT;
	int flags, rc = 0;

	if (node->type == CERTAUTO__JSON_NULL)
		return 0;
	flags = certauto__target_option_info(target, node->key, &type);
	value.secret = 1;
	if (flags >= 0 && (flags & CERTAUTO_OPTION_SENSITIVE) != 0)
		rc = certauto__config_secret(config, node);
	/* An option nobody knows is told as that, whatever its value. */
	if (rc == 0 && flags >= 0)
		rc = value_of(config, node, type, &value);
	if (rc == 0)
		rc = certauto__config_wrap(config, node,
			certauto__target_set_option(target, node->key,
				certauto__buffer_text(&value), config->err));
	certauto__buffer_free(&value);
	return rc;
}

int certauto__config_options(const struct certauto__config *config,
	const struct certauto__node *object, const char *const *except, certauto_target *target)
{
	struct certauto__config of_target = *config;
	struct certauto__node *node;
	size_t i;
	int rc;

	of_target.about = target->label; /* several may have an option of that name */
	for (node = object->children; node != NULL; node = node->next) {
		for (i = 0; except[i] != NULL && strcmp(except[i], node->key) != 0; i++)
			;
		if (except[i] == NULL && (rc = set_option(&of_target, node, target)) < 0)
			return rc;
	}
	return 0;
}

int certauto__config_target(const struct certauto__config *config,
	const struct certauto__node *node, certauto_target **out)
{
	static const char *const except[] = { "type", NULL };
	const struct certauto__node *type;
	certauto_target *target = NULL;
	int rc;

	if ((type = certauto__node_get(node, "type")) == NULL)
		return certauto__config_fail(config, node, "target \"%.64s\" has no \"type\"",
			node->key);
	if (type->type != CERTAUTO__JSON_STRING)
		return certauto__config_fail(config, type,
			"type must be the name of a target type");
	rc = certauto__target_make(&target, config->cx, type->text, node->key, config->err);
	if (rc < 0) {
		certauto__error_prefix(config->err, "target \"%s\"", node->key);
		return certauto__config_wrap(config, type, rc);
	}
	if ((rc = certauto__config_options(config, node, except, target)) < 0)
		certauto_target_free(target);
	else
		*out = target;
	return rc;
}

static int read_target(const struct certauto__config *config, const struct certauto__node *node,
	certauto_fleet *fleet)
{
	certauto_target *target = NULL;
	int rc;

	if ((rc = certauto__config_object(config, node)) < 0 ||
	    (rc = certauto__config_wrap(config, node,
		     certauto__store_name_check("target", node->key, config->err))) < 0 ||
	    (rc = certauto__config_target(config, node, &target)) < 0)
		return rc;
	fleet->targets[fleet->n_targets++] = target;
	return 0;
}

/* A target that gets more options from each certificate need not be whole by itself. */
static int check_targets(const struct certauto__config *config, const certauto_fleet *fleet)
{
	const struct certauto__node *node = certauto__node_get(config->top, "targets");
	size_t i;
	int rc;

	for (i = 0, node = node != NULL ? node->children : NULL; node != NULL;
		i++, node = node->next) {
		if (certauto__config_is_overridden(config->top, node->key))
			continue;
		rc = certauto__target_check_options(fleet->targets[i], config->err);
		if (rc < 0) {
			certauto__error_prefix(config->err, "target \"%s\"", node->key);
			return certauto__config_wrap(config, node, rc);
		}
	}
	return 0;
}

/* ---- the frame ---- */

typedef int (*member_fn)(const struct certauto__config *config, const struct certauto__node *node,
	certauto_fleet *fleet);

static int read_members(const struct certauto__config *config, const char *key, void *array,
	size_t size, member_fn read, certauto_fleet *fleet)
{
	const struct certauto__node *section = certauto__node_get(config->top, key), *node;
	void *items;
	int rc;

	if (section == NULL)
		return 0;
	if ((rc = certauto__config_object(config, section)) < 0)
		return rc;
	if ((items = certauto__alloc(size * (certauto__node_count(section) + 1))) == NULL)
		return certauto__error_nomem(config->err);
	memcpy(array, &items, sizeof(items));
	for (node = section->children; node != NULL; node = node->next)
		if ((rc = read(config, node, fleet)) < 0)
			return rc;
	return 0;
}

static int read_state(const struct certauto__config *config, certauto_fleet *fleet)
{
	const struct certauto__node *node = certauto__node_get(config->top, "state");
	char *path = NULL;
	int rc;

	if ((rc = certauto__config_text(config, node, &path)) < 0)
		return rc;
	if (path != NULL && path[0] != '/')
		rc = certauto__config_fail(config, node,
			"state must be an absolute path, not \"%.200s\"", path);
	else if ((rc = certauto__store_make(&fleet->store, config->cx, "files", config->err)) == 0)
		rc = certauto__config_wrap(config, node,
			fleet->store->row->set(fleet->store, "directory",
				path != NULL ? path : STATE_DEFAULT, config->err));
	certauto__free(path);
	return rc;
}

static int read_all(const struct certauto__config *config, certauto_fleet *fleet)
{
	static const char *const known[] = { "state", "accounts", "targets", "certificates", NULL };
	int rc;

	if ((rc = certauto__config_keys(config, config->top, "the configuration", known)) < 0 ||
	    (rc = read_state(config, fleet)) < 0 ||
	    (rc = read_members(config, "accounts", &fleet->accounts, sizeof(*fleet->accounts),
			 read_account, fleet)) < 0 ||
	    (rc = read_members(config, "targets", &fleet->targets, sizeof(*fleet->targets),
			 read_target, fleet)) < 0 ||
	    (rc = read_members(config, "certificates", &fleet->certificates,
			 sizeof(*fleet->certificates), certauto__config_certificate, fleet)) < 0)
		return rc;
	return check_targets(config, fleet);
}

int certauto__fleet_make(certauto_fleet **out, certauto_context *cx, const char *file,
	const void *data, size_t len, certauto_error *err)
{
	struct certauto__config config = { file, cx, err, NULL, NULL };
	certauto_fleet *fleet = certauto__object_new(cx, sizeof(*fleet), fleet_destroy);
	certauto_error own = {0};
	int rc;

	if (fleet == NULL)
		return certauto__error_nomem(err);
	if (err == NULL)
		config.err = &own; /* messages are built up from it */
	if ((rc = certauto__node_read(&config, data, len)) == 0)
		rc = read_all(&config, fleet);
	certauto__node_free(config.top);
	certauto__error_clear(&own);
	if (rc < 0)
		certauto_fleet_free(fleet);
	else
		*out = fleet;
	return rc;
}
