/*
 * settings - weir.json as structures. The tables stand in lib/settings_*.c; every program checks
 * all sections.
 * Ownership  settings_free releases what settings_load filled. A loaded structure is never
 *            changed.
 */
#ifndef WEIR_SETTINGS_H
#define WEIR_SETTINGS_H

#include "weir/conf.h"

/* What happens to a client that breaks the rules of SMTP in a way that no honest one does. */
enum protocol_violations { VIOLATIONS_CLOSE, VIOLATIONS_NOTE };
struct certificate_settings {
	char *chain; /* PEM: the server's certificate first, then what leads to its root */
	char *key;   /* PEM; "": it stands in `chain` too */
};

enum listen_tls { LISTEN_TLS_OFF, LISTEN_TLS_OFFER, LISTEN_TLS_REQUIRE, LISTEN_TLS_IMPLICIT };
enum tls_minimum { TLS_MINIMUM_1_2, TLS_MINIMUM_1_3 };
enum tls_policy { TLS_POLICY_MODERN, TLS_POLICY_INTERMEDIATE };
enum client_certificates { CLIENT_CERTIFICATES_OFF, CLIENT_CERTIFICATES_ASK };

struct listen_settings {
	struct endpoint address;
	char *name; /* `listener.name`, {daemon_name}; "" stands for the address */
	char *auth; /* "off", "relay", "sasl", "dovecot:PATH" */
	bool auth_plaintext, auth_required;
	struct conf_networks proxy_from;   /* who must begin with a PROXY header */
	struct conf_networks xclient_from; /* who may say XCLIENT */
	int protocol_violations;           /* enum protocol_violations */
	int tls;                           /* enum listen_tls */
	struct conf_items certificates; /* struct certificate_settings; the first is the default */
	int tls_minimum, tls_policy;    /* enum tls_minimum, enum tls_policy */
	int client_certificates;        /* enum client_certificates */
	char *client_ca;                /* PEM; "": nobody's signature is known */
};

enum on_failure {
	ON_FAILURE_TEMPFAIL,
	ON_FAILURE_ACCEPT,
	ON_FAILURE_REJECT,
	ON_FAILURE_QUARANTINE
};

struct filter_settings {
	char *name;
	struct endpoint socket;
	int on_failure; /* enum on_failure */
	int64_t connect_timeout_s, command_timeout_s, content_timeout_s, total_timeout_s;
};

enum chunking { CHUNKING_AUTO, CHUNKING_OFF };
enum backend_tls { BACKEND_TLS_OFF, BACKEND_TLS_MAY, BACKEND_TLS_REQUIRE, BACKEND_TLS_VERIFY };

enum identity { IDENTITY_NONE, IDENTITY_XCLIENT, IDENTITY_XFORWARD, IDENTITY_PROXY };

struct backend_settings {
	char *name; /* the key in "backends"; "default" takes what no other route takes */
	struct conf_strs servers; /* HOST:PORT, in order of preference */
	bool pass_auth;           /* AUTH= of MAIL as an authenticated client gave it */
	struct {
		int64_t connections, idle_s, messages;
	} keep;            /* of connections from one message to the next */
	int chunking;      /* enum chunking: BDAT towards it */
	int tls;           /* enum backend_tls */
	bool tls_implicit; /* TLS from the first octet, without STARTTLS */
	char *tls_name;    /* in the certificate; "": the server's host */
	char *ca;          /* PEM; "": the system's */
	int identity;      /* enum identity: how servers are told of the client */
	bool identity_required;
};

enum password_check { PASSWORD_CHECK_AUXPROP, PASSWORD_CHECK_SASLAUTHD };

enum bare_newline { BARE_NEWLINE_NORMALIZE, BARE_NEWLINE_REJECT, BARE_NEWLINE_NOTE };

struct bare_newline_exception {
	struct conf_networks from;
	int policy; /* enum bare_newline */
};

struct proxy_settings {
	char *hostname;             /* never "" after loading: the machine's name stands in */
	struct conf_items listen;   /* struct listen_settings */
	struct conf_items filters;  /* struct filter_settings */
	struct conf_items backends; /* struct backend_settings */
	struct {
		int64_t message_bytes, recipients, sessions, sessions_per_client;
		int64_t errors_soft, errors_hard, junk_commands, command_bytes, received_fields,
		    header_bytes;
		int64_t transactions, recipients_overshoot;
		int64_t aborted_bytes; /* 0: no limit */
		int64_t memory_bytes;  /* of all workers */
		int64_t auth_failures, auth_forget_s, auth_ban_s;
	} limits;
	struct {
		int64_t probe_s; /* 0: servers are asked for their abilities at the start only */
		int64_t command_s, data_s, connect_s, backend_reply_s, backend_data_s, drain_s,
		    soft_error_ms;
		int64_t min_data_rate; /* octets per second */
		int64_t aborted_forget_s, memory_s;
		int64_t session_s; /* 0: no limit */
		int64_t auth_s, auth_delay_ms;
		int64_t proxy_header_s;
		int64_t client_name_s; /* 0: names are not looked up */
		int64_t tls_handshake_s;
	} timeouts;
	/* When workers are nearly full: these stand in for those of the same name, where less. */
	struct {
		int64_t percent; /* 0: never */
		int64_t command_s, data_s, errors_hard, junk_commands;
	} stress;
	struct {
		char *directory;
		int64_t memory_bytes; /* of one message, before it goes to a file */
	} spool;
	struct {
		struct conf_strs mechanisms;
		char *realm, *service;
		int password_check; /* enum password_check */
		char *sasldb, *saslauthd;
		int64_t processes;
		struct {
			char *introspection_url, *client_id, *client_secret_file, *login_claim,
			    *ca_file;
			int64_t timeout_s;
		} oauth;
	} sasl;
	int bare_newline;                          /* enum bare_newline */
	struct conf_items bare_newline_exceptions; /* struct bare_newline_exception */
	struct conf_strs dns_servers; /* ADDRESS or ADDRESS:PORT; none: /etc/resolv.conf */
	bool received;                /* add a Received field */
	bool lenient_paths;           /* "MAIL FROM: a@b" is good enough */
	bool chunking;                /* offer CHUNKING to clients */
	struct endpoint control;
	char *user;
	int64_t workers; /* 0: one for each core */
};

struct milterd_settings {
	struct endpoint socket;
	int64_t socket_mode; /* as written, in decimal digits read as octal: 660 */
	char *rules;
	char *store; /* "lmdb:PATH" */
	int64_t store_bytes;
	struct {
		bool enabled;
		char *database;
		char *scanner; /* "": beside the program, else under libexec */
		int64_t workers, time_ms, scan_bytes, file_bytes, recursion, files;
	} antivirus;
	struct endpoint control;
	char *user;
	int64_t sessions;
	int64_t message_bytes; /* most of one message that is looked at */
	int64_t drain_s;
	int64_t body_text_bytes; /* most of body.text, body.html and body.raw that rules see */
};

struct log_settings {
	char *to, *format, *level;
};

struct settings {
	struct json_file file;
	struct proxy_settings proxy;
	struct milterd_settings milterd;
	struct log_settings log;
	bool has_proxy, has_milterd; /* does the file hold that section? */
};

/* path NULL: every default. 0, or -1 with findings. Relative paths inside the file are taken from
 * the folder that the file lies in. Call settings_free either way. */
int settings_load(const char *path, struct settings *out, struct findings *f);
void settings_free(struct settings *s);
void settings_show(const struct settings *s, FILE *to);
void settings_manual(FILE *to);

#endif
