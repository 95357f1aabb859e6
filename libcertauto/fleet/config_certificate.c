/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of "certificates": names, keys, who answers the challenges, where it is deployed. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acme/order.h"
#include "core/memory.h"
#include "fleet/config.h"

#define CSR_MAX 65536

/* ---- names and keys ---- */

/* As certificates have it: lower case, addresses in their shortest form. */
static int add_name(const struct certauto__config *config, const struct certauto__node *node,
	certauto__list *names)
{
	char name[CERTAUTO__NAME_SIZE];
	const char *why = NULL;

	if (node->type != CERTAUTO__JSON_STRING || node->len == 0)
		return certauto__config_fail(
			config, node, "names must be a list of strings that are not empty");
	if (certauto__name_normal(name, node->text, &why) < 0)
		return certauto__config_fail(config, node,
			"names: \"%.300s\" is not a name a certificate can have: %s", node->text,
			why);
	if (certauto__list_has(names, name))
		return certauto__config_fail(config, node, "names has \"%s\" twice", name);
	return certauto__list_add_text(names, name) < 0 ? certauto__error_nomem(config->err) : 0;
}

static int read_list(const struct certauto__config *config, const struct certauto__node *node,
	certauto__list *names)
{
	const struct certauto__node *item = node;
	int rc = 0;

	if (node->type == CERTAUTO__JSON_ARRAY)
		item = node->children;
	for (; item != NULL && rc == 0;
		item = node->type == CERTAUTO__JSON_ARRAY ? item->next : NULL)
		rc = add_name(config, item, names);
	if (rc < 0)
		return rc;
	if (names->n == 0)
		return certauto__config_fail(config, node, "names must have at least one name");
	return certauto__config_wrap(
		config, node, certauto__order_names_check(names, config->err));
}

static int read_names(const struct certauto__config *config, const struct certauto__node *object,
	struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "names");

	if (node == NULL) {
		if (certificate->csr == NULL)
			return certauto__config_fail(config, object,
				"certificate \"%.64s\" has no \"names\"", object->key);
		if (certauto__list_copy(&certificate->names,
			    certauto__req_names(certificate->csr)) < 0)
			return certauto__error_nomem(config->err);
		return 0;
	}
	return read_list(config, node, &certificate->names);
}

/* A listener chooses by what the client can verify, ECDSA or RSA: of two certificates of one family
 * it would serve either, and the proof of the other could not hold. */
static int check_families(const struct certauto__config *config, const struct certauto__node *node,
	const certauto__list *keys)
{
	size_t i, j;

	for (i = 0; i < keys->n; i++)
		for (j = 0; j < i; j++)
			if (strncmp(keys->items[i], keys->items[j], 3) == 0)
				return certauto__config_fail(config, node,
					"keys \"%s\" and \"%s\" are of one kind: a listener "
					"serves one ECDSA and one RSA certificate",
					keys->items[j], keys->items[i]);
	return 0;
}

static int read_keys(const struct certauto__config *config, const struct certauto__node *object,
	struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "key"), *item = node;
	int rc;

	if ((rc = certauto__config_list(config, node, &certificate->keys)) < 0)
		return rc;
	if (node != NULL && certificate->keys.n == 0)
		return certauto__config_fail(config, node, "key must have at least one type");
	if (node != NULL && node->type == CERTAUTO__JSON_ARRAY)
		item = node->children;
	for (; item != NULL; item = node->type == CERTAUTO__JSON_ARRAY ? item->next : NULL)
		if ((rc = certauto__config_wrap(config, item,
			     certauto__key_type_check(item->text, config->err))) < 0)
			return rc;
	if ((rc = check_families(config, node, &certificate->keys)) < 0)
		return rc;
	if (certificate->csr != NULL) {
		/* The key that was meant is where the CSR was made: one lineage, whatever its
		 * type. */
		if (certificate->keys.n > 1)
			return certauto__config_fail(config, node,
				"a certificate with a \"csr\" has one key");
		certauto__list_free(&certificate->keys);
	}
	if (certificate->keys.n == 0 && certauto__list_add_text(&certificate->keys,
			certificate->csr != NULL ? "csr" : "ecdsa-p256") < 0)
		return certauto__error_nomem(config->err);
	return 0;
}

/* ---- a CSR from outside ---- */

static int read_file(const struct certauto__config *config, const struct certauto__node *node,
	certauto__buffer *out)
{
	int fd = open(node->text, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), saved;
	char chunk[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		if (certauto__buffer_add(out, chunk, (size_t)n) < 0) {
			(void)close(fd);
			return certauto__config_fail(config, node,
				"csr: %s is longer than %d bytes", node->text, CSR_MAX);
		}
	saved = errno;
	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		return certauto__config_fail(config, node, "csr: cannot read %s: %s", node->text,
			strerrordesc_np(saved) != NULL ? strerrordesc_np(saved) : "unknown error");
	return 0;
}

static int read_csr(const struct certauto__config *config, const struct certauto__node *object,
	struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "csr");
	certauto__buffer text = CERTAUTO__BUFFER(CSR_MAX);
	int rc;

	if (node == NULL || node->type == CERTAUTO__JSON_OBJECT)
		return 0;
	if (node->type != CERTAUTO__JSON_STRING || node->len == 0)
		return certauto__config_fail(config, node,
			"csr must be the path of a file, or {\"target\": NAME}");
	if ((rc = read_file(config, node, &text)) == 0 &&
	    (rc = certauto__req_parse(&certificate->csr, certauto__buffer_text(&text), text.len,
		     config->err)) < 0) {
		certauto__error_prefix(config->err, "csr %s", node->text);
		rc = certauto__config_wrap(config, node, rc);
	}
	certauto__buffer_free(&text);
	return rc;
}

static int check_csr(const struct certauto__config *config, const struct certauto__node *object,
	const struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "names");
	const certauto__list *names;
	size_t i;

	if (certificate->csr == NULL)
		return 0;
	names = certauto__req_names(certificate->csr);
	for (i = 0; i < names->n; i++)
		if (!certauto__list_has(&certificate->names, names->items[i]))
			return certauto__config_fail(config, node,
				"the csr has the name \"%s\", \"names\" has not", names->items[i]);
	for (i = 0; i < certificate->names.n; i++)
		if (!certauto__list_has(names, certificate->names.items[i]))
			return certauto__config_fail(config, node,
				"\"names\" has \"%s\", the csr has not",
				certificate->names.items[i]);
	if (certificate->reuse_key)
		return certauto__config_fail(config, object,
			"reuse_key has no meaning with a \"csr\"");
	return 0;
}

/* ---- targets of a certificate ---- */

static const char *const challenge_keys[] = { "type", "target", "names", NULL };
static const char *const target_keys[] = { "target", NULL };

/* 1 if object has members besides those in except. */
static int has_options(const struct certauto__node *object, const char *const *except)
{
	const struct certauto__node *node;
	size_t i;

	for (node = object->children; node != NULL; node = node->next) {
		for (i = 0; except[i] != NULL && strcmp(except[i], node->key) != 0; i++)
			;
		if (except[i] == NULL)
			return 1;
	}
	return 0;
}

static int overrides(const struct certauto__node *list, const char *const *except,
	const char *target)
{
	const struct certauto__node *node = list, *name;

	if (list != NULL && list->type == CERTAUTO__JSON_ARRAY)
		node = list->children;
	for (; node != NULL; node = list->type == CERTAUTO__JSON_ARRAY ? node->next : NULL) {
		name = node->type == CERTAUTO__JSON_OBJECT ? certauto__node_get(node, "target")
							   : NULL;
		if (name != NULL && certauto__text_equal(name->text, target) &&
		    has_options(node, except))
			return 1;
	}
	return 0;
}

int certauto__config_is_overridden(const struct certauto__node *top, const char *target)
{
	const struct certauto__node *node = certauto__node_get(top, "certificates");

	for (node = node != NULL ? node->children : NULL; node != NULL; node = node->next)
		if (overrides(certauto__node_get(node, "challenge"), challenge_keys, target) ||
		    overrides(certauto__node_get(node, "deploy"), target_keys, target) ||
		    overrides(certauto__node_get(node, "csr"), target_keys, target))
			return 1;
	return 0;
}

static int unknown_target(const struct certauto__config *config, const struct certauto__node *node,
	const certauto_fleet *fleet)
{
	certauto__buffer list = CERTAUTO__BUFFER(512);
	size_t i;
	int rc;

	for (i = 0; i < fleet->n_targets; i++)
		certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "", fleet->targets[i]->label);
	rc = certauto__config_fail(config, node, "there is no target \"%.80s\"; there are: %s",
		node->text, list.len > 0 ? certauto__buffer_text(&list) : "none");
	certauto__buffer_free(&list);
	return rc;
}

/* entry: a name, or an object with "target" and options of its own. */
static int make_target(const struct certauto__config *config, const struct certauto__node *entry,
	const char *const *except, const certauto_fleet *fleet, certauto_target **out)
{
	const struct certauto__node *name = entry, *whole;
	certauto_target *target;
	int rc;

	if (entry->type == CERTAUTO__JSON_OBJECT &&
	    (name = certauto__node_get(entry, "target")) == NULL)
		return certauto__config_fail(config, entry, "\"target\" is missing");
	if (name->type != CERTAUTO__JSON_STRING)
		return certauto__config_fail(config, name, "the name of a target must be a string");
	if ((target = certauto__fleet_find_target(fleet, name->text)) == NULL)
		return unknown_target(config, name, fleet);
	if (entry->type != CERTAUTO__JSON_OBJECT || !has_options(entry, except)) {
		*out = certauto__object_ref(target);
	} else {
		whole = certauto__node_get(certauto__node_get(config->top, "targets"), name->text);
		if ((rc = certauto__config_target(config, whole, out)) < 0 ||
		    (rc = certauto__config_options(config, entry, except, *out)) < 0)
			return rc;
	}
	if ((rc = certauto__target_check_options(*out, config->err)) < 0) {
		certauto__error_prefix(config->err, "target \"%s\"", name->text);
		return certauto__config_wrap(config, entry, rc);
	}
	return 0;
}

static const char *use_name(const struct certauto__use *use)
{
	return use->target != NULL ? use->target->label : use->challenge;
}

/* "edge", and for a second entry with that target "edge#2". */
static int make_label(struct certauto__use *uses, size_t n, const struct certauto__config *config)
{
	struct certauto__use *use = &uses[n];
	const char *name = use_name(use);
	char label[96];
	size_t i, number = 1;

	for (i = 0; i < n; i++)
		number += strcmp(use_name(&uses[i]), name) == 0;
	(void)snprintf(label, sizeof(label), number > 1 ? "%s#%zu" : "%s", name, number);
	if ((use->label = certauto__strdup(label)) == NULL)
		return certauto__error_nomem(config->err);
	return 0;
}

/* ---- challenge ---- */

static int challenge_fail(const struct certauto__config *config, const struct certauto__node *node,
	const char *text)
{
	const struct certauto__challenge_type *type;
	certauto__buffer list = CERTAUTO__BUFFER(512);
	size_t i;
	int rc;

	for (i = 0; (type = certauto__challenge_type_at(i)) != NULL; i++)
		certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "", type->name);
	rc = certauto__config_fail(
		config, node, "%s; it may be: %s", text, certauto__buffer_text(&list));
	certauto__buffer_free(&list);
	return rc;
}

static int read_challenge_type(const struct certauto__config *config,
	const struct certauto__node *entry, const struct certauto__challenge_type **out)
{
	const struct certauto__node *node = certauto__node_get(entry, "type");
	char text[160];

	if (node == NULL)
		return challenge_fail(config, entry, "challenge has no \"type\"");
	if (node->type != CERTAUTO__JSON_STRING || node->len == 0)
		return certauto__config_fail(
			config, node, "type must be a string that is not empty");
	(void)snprintf(text, sizeof(text), "there is no challenge \"%.80s\"", node->text);
	if ((*out = certauto__challenge_type(node->text)) == NULL)
		return challenge_fail(config, node, text);
	return 0;
}

/* The record of dns-persist-01 may be there for good: then nobody need put it there. */
static int read_challenge_target(const struct certauto__config *config,
	const struct certauto__node *entry, const certauto_fleet *fleet,
	const struct certauto__challenge_type *type, struct certauto__use *use)
{
	int rc;

	if (!type->token && certauto__node_get(entry, "target") == NULL)
		return 0;
	if ((rc = make_target(config, entry, challenge_keys, fleet, &use->target)) < 0)
		return rc;
	if ((use->target->row->caps & type->cap) == 0)
		return certauto__config_fail(config, entry,
			"target \"%s\" (%s) cannot answer %s challenges", use->target->label,
			use->target->row->name, type->name);
	return certauto__config_wrap(
		config, entry, certauto__target_able(use->target, type->cap, config->err));
}

static int read_challenge(const struct certauto__config *config, const struct certauto__node *entry,
	const certauto_fleet *fleet, struct certauto__certificate *certificate)
{
	struct certauto__use *use = &certificate->challenges[certificate->n_challenges++];
	const struct certauto__challenge_type *type;
	int rc;

	if (entry->type != CERTAUTO__JSON_OBJECT)
		return certauto__config_fail(config, entry,
			"challenge must be an object, or a list of objects");
	if ((rc = read_challenge_type(config, entry, &type)) < 0 ||
	    (rc = certauto__config_list(config, certauto__node_get(entry, "names"),
			 &use->patterns)) < 0 ||
	    (rc = read_challenge_target(config, entry, fleet, type, use)) < 0)
		return rc;
	use->challenge = type->name;
	return make_label(certificate->challenges, certificate->n_challenges - 1, config);
}

static int is_for(const struct certauto__use *use, const char *name)
{
	size_t i;

	for (i = 0; i < use->patterns.n; i++)
		if (certauto__name_match(use->patterns.items[i], name))
			return 1;
	return use->patterns.n == 0;
}

/* Several may serve a name: the first that the CA offers is taken. One at least must be able to. */
static int check_challenge(const struct certauto__config *config,
	const struct certauto__node *object, const struct certauto__certificate *certificate,
	const char *name)
{
	const struct certauto__node *names = certauto__node_get(object, "names");
	const struct certauto__use *use, *unable = NULL;
	size_t i;

	for (i = 0; i < certificate->n_challenges; i++) {
		use = &certificate->challenges[i];
		if (!is_for(use, name))
			continue;
		if (certauto__challenge_proves(certauto__challenge_type(use->challenge), name))
			return 0;
		unable = use;
	}
	if (unable == NULL)
		return certauto__config_fail(config, certauto__node_get(object, "challenge"),
			"no challenge serves the name \"%s\"", name);
	return certauto__config_fail(config, names != NULL ? names : object,
		"\"%s\": %s, not by %s", name,
		certauto__ip_check(name) ? "an address is proved by http-01 or tls-alpn-01"
					 : "a CA proves a wildcard by dns-01 or its kin",
		unable->challenge);
}

static int check_challenges(const struct certauto__config *config,
	const struct certauto__node *object, const struct certauto__certificate *certificate)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < certificate->names.n && rc == 0; i++)
		rc = check_challenge(config, object, certificate, certificate->names.items[i]);
	return rc;
}

static int read_challenges(const struct certauto__config *config,
	const struct certauto__node *object, const certauto_fleet *fleet,
	struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "challenge"), *entry = node;
	size_t n = 1;
	int rc;

	if (node == NULL)
		return certauto__config_fail(config, object,
			"certificate \"%.64s\" has no \"challenge\"", object->key);
	if (node->type == CERTAUTO__JSON_ARRAY) {
		n = certauto__node_count(node);
		entry = node->children;
	}
	if ((certificate->challenges =
			    certauto__alloc((n + 1) * sizeof(*certificate->challenges))) == NULL)
		return certauto__error_nomem(config->err);
	for (; entry != NULL; entry = node->type == CERTAUTO__JSON_ARRAY ? entry->next : NULL)
		if ((rc = read_challenge(config, entry, fleet, certificate)) < 0)
			return rc;
	return check_challenges(config, object, certificate);
}

/* ---- deploy ---- */

static int read_deploy(const struct certauto__config *config, const struct certauto__node *entry,
	const certauto_fleet *fleet, struct certauto__certificate *certificate)
{
	struct certauto__use *use = &certificate->deploys[certificate->n_deploys++];
	int rc;

	if ((rc = make_target(config, entry, target_keys, fleet, &use->target)) < 0 ||
	    (rc = make_label(certificate->deploys, certificate->n_deploys - 1, config)) < 0)
		return rc;
	if ((use->target->row->caps & CERTAUTO_TARGET_DEPLOY) == 0)
		return certauto__config_fail(config, entry,
			"target \"%s\" (%s) takes no certificates", use->target->label,
			use->target->row->name);
	return certauto__config_wrap(config, entry,
		certauto__target_fits(use->target, certificate->keys.n,
			certificate->maker == NULL && certificate->csr == NULL, config->err));
}

static int read_deploys(const struct certauto__config *config, const struct certauto__node *object,
	const certauto_fleet *fleet, struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "deploy"), *entry = node;
	size_t n = 1;
	int rc;

	if (node != NULL && node->type == CERTAUTO__JSON_ARRAY) {
		n = certauto__node_count(node);
		entry = node->children;
	}
	if ((certificate->deploys = certauto__alloc((n + 1) * sizeof(*certificate->deploys))) ==
		NULL)
		return certauto__error_nomem(config->err);
	for (; entry != NULL; entry = node->type == CERTAUTO__JSON_ARRAY ? entry->next : NULL)
		if ((rc = read_deploy(config, entry, fleet, certificate)) < 0)
			return rc;
	return 0;
}

/* ---- a key that a target makes ---- */

static int read_maker(const struct certauto__config *config, const struct certauto__node *object,
	const certauto_fleet *fleet, struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "csr");
	certauto_target *maker;
	int rc;

	if (node == NULL || node->type != CERTAUTO__JSON_OBJECT)
		return 0;
	if ((rc = make_target(config, node, target_keys, fleet, &certificate->maker)) < 0)
		return rc;
	maker = certificate->maker;
	if (maker->row->csr == NULL || (certauto__target_caps(maker) & CERTAUTO_TARGET_CSR) == 0)
		return certauto__config_fail(config, node, "target \"%s\" (%s) makes no keys",
			maker->label, maker->row->name);
	if (certificate->reuse_key)
		return certauto__config_fail(config, object,
			"reuse_key has no meaning with a key that \"%s\" makes: it makes a new "
			"one each time", maker->label);
	return 0;
}

static int check_maker(const struct certauto__config *config, const struct certauto__node *object,
	const struct certauto__certificate *certificate)
{
	const certauto_target *maker = certificate->maker;
	size_t i;

	for (i = 0; maker != NULL && i < certificate->n_deploys; i++)
		if (strcmp(certificate->deploys[i].target->label, maker->label) != 0)
			return certauto__config_fail(config, certauto__node_get(object, "deploy"),
				"the key of this certificate is made by \"%s\" and stays there: "
				"it cannot be deployed to \"%s\"", maker->label,
				certificate->deploys[i].target->label);
	return 0;
}

/* ---- the certificate ---- */

static int read_account(const struct certauto__config *config, const struct certauto__node *object,
	const certauto_fleet *fleet, struct certauto__certificate *certificate)
{
	const struct certauto__node *node = certauto__node_get(object, "account");
	certauto__buffer list = CERTAUTO__BUFFER(512);
	certauto_account *account;
	size_t i;
	int rc;

	if (node == NULL)
		return certauto__config_fail(config, object,
			"certificate \"%.64s\" has no \"account\"", object->key);
	if (node->type != CERTAUTO__JSON_STRING)
		return certauto__config_fail(config, node,
			"account must be the name of an account");
	if ((account = certauto__fleet_find_account(fleet, node->text)) != NULL) {
		certificate->account = certauto__object_ref(account);
		return 0;
	}
	for (i = 0; i < fleet->n_accounts; i++)
		certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "", fleet->accounts[i]->name);
	rc = certauto__config_fail(config, node, "there is no account \"%.80s\"; there are: %s",
		node->text, list.len > 0 ? certauto__buffer_text(&list) : "none");
	certauto__buffer_free(&list);
	return rc;
}

/* A name alone: the CA must have it. As an object it may be a wish. */
static int read_profile(const struct certauto__config *config, const struct certauto__node *node,
	struct certauto__certificate *certificate)
{
	static const char *const known[] = { "name", "required", NULL };
	const struct certauto__node *name = node;
	int rc;

	certificate->profile_required = 1;
	if (node != NULL && node->type == CERTAUTO__JSON_OBJECT) {
		if ((rc = certauto__config_keys(config, node, "profile", known)) < 0 ||
		    (rc = certauto__config_flag(config, certauto__node_get(node, "required"),
			     &certificate->profile_required)) < 0)
			return rc;
		if ((name = certauto__node_get(node, "name")) == NULL)
			return certauto__config_fail(config, node, "profile has no \"name\"");
	}
	return certauto__config_text(config, name, &certificate->profile);
}

static int read_preferred_chain(const struct certauto__config *config,
	const struct certauto__node *node, struct certauto__certificate *certificate)
{
	int rc = certauto__config_text(config, node, &certificate->preferred_chain);

	if (rc < 0 || node == NULL)
		return rc;
	return certauto__config_wrap(config, node,
		certauto__preferred_chain_check(certificate->preferred_chain, config->err));
}

int certauto__config_certificate(const struct certauto__config *config,
	const struct certauto__node *node, certauto_fleet *fleet)
{
	static const char *const known[] = {"account", "names", "key", "profile", "challenge",
		"deploy", "reuse_key", "preferred_chain", "csr", NULL};
	struct certauto__certificate *certificate = &fleet->certificates[fleet->n_certificates++];
	int rc;

	if ((rc = certauto__config_object(config, node)) < 0 ||
	    (rc = certauto__config_wrap(config, node,
		     certauto__store_name_check("certificate", node->key, config->err))) < 0 ||
	    (rc = certauto__config_keys(config, node, "a certificate", known)) < 0)
		return rc;
	if ((certificate->name = certauto__strdup(node->key)) == NULL)
		return certauto__error_nomem(config->err);
	if ((rc = read_profile(config, certauto__node_get(node, "profile"), certificate)) < 0 ||
	    (rc = read_preferred_chain(config, certauto__node_get(node, "preferred_chain"),
		     certificate)) < 0 ||
	    (rc = read_account(config, node, fleet, certificate)) < 0 ||
	    (rc = certauto__config_flag(config, certauto__node_get(node, "reuse_key"),
		     &certificate->reuse_key)) < 0 ||
	    (rc = read_csr(config, node, certificate)) < 0 ||
	    (rc = read_names(config, node, certificate)) < 0 ||
	    (rc = read_keys(config, node, certificate)) < 0 ||
	    (rc = check_csr(config, node, certificate)) < 0 ||
	    (rc = read_challenges(config, node, fleet, certificate)) < 0 ||
	    (rc = read_maker(config, node, fleet, certificate)) < 0 ||
	    (rc = read_deploys(config, node, fleet, certificate)) < 0)
		return rc;
	return check_maker(config, node, certificate);
}
