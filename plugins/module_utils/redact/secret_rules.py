# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that recognize secrets by their own form: tokens of gitleaks, and forms common around Cloudpods. Data. Pure.

A rule is tried only if the text contains one of its words (lower case), so that text without secrets costs little.
"""

from __future__ import annotations

from dataclasses import dataclass

from .gitleaks import TOKENS


@dataclass(frozen=True)
class SecretRule:
    """Rule for one form of secrets.

    name: rule in the marker. words: every match contains one of them, in any case. expression: regular expression for
    bytes, without nested quantifiers; group: its group with the secret. also: second word that the text must contain.
    one_word: no match contains a divider of words (redactor.DIVIDERS), so the distinct words of a text are searched
    instead of the text.
    """

    name: str
    words: tuple[str, ...]
    expression: str
    group: int = 0
    one_word: bool = False
    also: str = ""


# Part of a word in a log, in JSON, in a URL and on a command line.
_WORD = r"[^\s\x00\"'<>\\]"
# Schemes whose URLs may have a slash in the password. In other URLs a slash ends the host.
_DATABASES = ("mysql", "mariadb", "postgres", "postgresql", "mongodb", "redis", "rediss", "amqp", "amqps", "clickhouse",
              "influxdb", "etcd", "ldap", "ldaps", "sqlserver")  # fmt: skip

OWN_RULES = (
    # Up to the end line; without one, up to the last byte that may belong to the key.
    SecretRule(
        "private-key",
        ("-----begin",),
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:[^-]|-(?!----)){0,16384}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:\s{0,4}[\w-]{1,32}: [^\n]{0,256}\n){0,8}(?:[A-Za-z0-9+/=\s]|\\[nrt]){0,16384})",
    ),
    SecretRule("putty-key", ("private-lines:",), r"Private-Lines: \d+(?:\\?[rn]|\s)+([A-Za-z0-9+/=\s\\]+)", 1),
    SecretRule(
        "url-password",
        tuple(f"{name}{sign}" for name in _DATABASES for sign in ("://", "+")),
        rf"(?i)\b(?:{'|'.join(_DATABASES)})(?:\+\w+)?://[^\s\x00:@/\"']{{0,128}}:([^\s\x00\"'<>\\]{{1,256}})@(?=[\w.\[%(-])",
        1,
        one_word=True,
    ),
    SecretRule(
        "url-password",
        ("://",),
        r"://[^\s\x00:@/?#\"']{0,128}:([^\s\x00@/?#\"'<>\\]{1,256})@(?=[\w.\[%-])",
        1,
        one_word=True,
    ),
    SecretRule("url-token", ("://",), r"://([A-Za-z0-9_~.-]{16,256})@(?=[\w.\[])", 1, one_word=True),
    # Form of Go's MySQL driver, used in sql_connection; services log it when they start.
    SecretRule(
        "dsn-password",
        ("@tcp", "@unix", "@udp"),
        r"[\w.-]{1,64}:([^\s\x00\"'\\]{1,256})@(?:tcp|unix|udp)\(",
        1,
        one_word=True,
    ),
    SecretRule(
        "login-password",
        ("@",),
        r"(?<![\w/.:@])[A-Za-z][\w.-]{0,63}:(?!//)([^\s\x00:@/\"'\\]{6,128})@(?=[\w-]+[.:(])",
        1,
        one_word=True,
    ),
    SecretRule(
        "bearer",
        ("bearer", "basic", "negotiate", "digest"),
        r"(?i)\b(?:bearer|basic|negotiate)[ +]+([\w+/=.~:-]{8,8192})",
        1,
    ),
    # Fernet tokens, of Keystone and of other programs.
    SecretRule("fernet", ("gaaaa",), r"\bgAAAA[\w-]{40,4096}={0,2}", one_word=True),
    SecretRule("vault-token", ("hvs.",), r"\bhvs\.[\w-]{20,300}", one_word=True),
    SecretRule("ceph-key", ("aq",), r"(?<![\w+/])AQ[A-Za-z0-9+/]{36}==(?![\w+/=])", one_word=True),
    SecretRule(
        "crypt-hash", ("$",), r"\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|sha1|md5)\$[./A-Za-z0-9$=,]{16,256}", one_word=True
    ),
    SecretRule(
        "crypt-hash",
        ("$argon2", "$scrypt", "$pbkdf2"),
        r"\$(?:argon2id?|argon2i|argon2d|scrypt|pbkdf2[\w-]{0,16})\$[\w+/=.,$-]{16,512}",
        one_word=True,
    ),
    SecretRule("mysql-hash", ("*",), r"(?<![\w*])\*[0-9A-F]{40}(?!\w)", one_word=True),
    SecretRule("ldap-hash", ("sha",), r"\{S?SHA\d{0,3}\}([A-Za-z0-9+/=]{16,256})", 1, one_word=True),
    SecretRule("tencent-key-id", ("akid",), r"\bAKID[A-Za-z0-9]{32}\b", one_word=True),
    SecretRule("huawei-key-id", ("hpua",), r"\bHPUA[A-Z0-9]{16}\b", one_word=True),
    SecretRule("google-oauth", ("ya29.", "gocspx-"), r"\b(?:ya29\.[\w-]{20,512}|GOCSPX-[\w-]{20,64})", one_word=True),
    SecretRule("openai-key", ("sk-",), r"\bsk-[A-Za-z0-9_-]{20,256}", one_word=True),
    SecretRule("docker-token", ("dckr_pat_",), r"\bdckr_pat_[\w-]{20,64}", one_word=True),
    SecretRule(
        "slack-webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w/+-]{16,256})",
        1,
        one_word=True,
    ),
    SecretRule(
        "chat-webhook",
        ("/bot/v2/hook/", "/robot/send", "/webhook/send"),
        r"(?:/bot/v2/hook/|[?&](?:access_token|key)=)([\w-]{16,128})",
        1,
        one_word=True,
    ),
    SecretRule("telegram-token", (":aa",), r"(?<!\d)\d{8,10}:AA[\w-]{33}(?![\w-])", one_word=True),
    SecretRule("discord-webhook", ("/api/webhooks/",), r"/api/webhooks/\d{6,24}/([\w-]{16,128})", 1, one_word=True),
    SecretRule(
        "github-token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"\b(?:gh[pousr]_|github_pat_)\w{20,255}",
        one_word=True,
    ),
    # Options of programs that services run.
    SecretRule(
        "program-option",
        ("curl", "wget"),
        r"(?:curl|wget)\b[^\n]{0,200}?\s(?:-u|--user)[ =\x00][\"']?"
        r"[^\s\x00:\"']{1,128}:([^\s\x00\"']{1,128})",
        1,
    ),
    SecretRule("program-option", ("sshpass",), r"sshpass[ \x00]+-p[ \x00]*([^\s\x00]{1,128})", 1),
    SecretRule(
        "program-option",
        ("mysql",),
        r"mysql\w*\b[^\n]{0,200}?[\s\x00]-p([^\s\x00\"'-][^\s\x00\"']{0,127})",
        1,
        also="-p",
    ),
    SecretRule(
        "program-option", ("redis-cli",), r"redis-cli\b[^\n]{0,200}?[\s\x00](?:-a|--pass)[\s\x00]+([^\s\x00]{1,128})", 1
    ),
    SecretRule("program-option", ("ipmitool",), r"ipmitool\b[^\n]{0,200}?[\s\x00]-P[\s\x00]*([^\s\x00\"']{1,128})", 1),
    SecretRule(
        "program-option",
        ("ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldappasswd", "ldapwhoami"),
        r"ldap\w+\b[^\n]{0,200}?[\s\x00]-w[\s\x00]+([^\s\x00\"']{1,128})",
        1,
    ),
    SecretRule(
        "program-option",
        ("smbclient", "mount.cifs", "cifs"),
        rf"(?:smbclient|mount)\b[^\n]{{0,200}}?[\s\x00]-U[\s\x00]*[^\s\x00%\x00]{{1,64}}%({_WORD}{{1,128}})",
        1,
    ),
    SecretRule("program-option", ("pass:",), r"pass(?:in|out)?[ =\x00]pass:([^\s\x00\"']{1,128})", 1),
    SecretRule(
        "sql-password",
        ("identified",),
        r"(?i)\bidentified\s{1,8}(?:with\s{1,8}[^\s\x00]{1,64}\s{1,8})?(?:by|as)\s{1,8}(?:password\s{1,8})?\\*[\"']([^\"'\\]{1,256})",
        1,
    ),
    SecretRule("sql-password", ("password",), r"(?i)\bpassword\(\\*[\"']([^\"'\\]{1,256})", 1),
    SecretRule(
        "netrc-password",
        ("machine", "login"),
        r"\b(?:machine\s{1,8}[^\s\x00]{1,253}\s{1,8})?login\s{1,8}[^\s\x00]{1,128}\s{1,8}password\s{1,8}([^\s\x00]{1,128})",
        1,
    ),
    SecretRule(
        "pgpass",
        (":5432:",),
        r"(?<![\w.*-])[\w.*-]{1,253}:5432:[^:\s]{1,64}:[^:\s]{1,64}:([^\s\x00]{1,128})",
        1,
        one_word=True,
    ),
    SecretRule("influx-password", ("u=",), r"[?&]u=[^&\s]{0,64}&p=([^&\s\"'\\]{1,128})", 1, one_word=True),
    SecretRule("azure-signature", ("sig=",), r"[?&;]sig=([\w%+/=-]{20,256})", 1, one_word=True),
    SecretRule(
        "azure-key",
        ("accountkey=", "sharedaccesskey="),
        r"(?i)(?:account|sharedaccess)key=([A-Za-z0-9+/]{20,128}={0,2})",
        1,
        one_word=True,
    ),
    SecretRule("aws-signature", ("signature=",), r"(?i)\b(?:x-amz-)?signature=([0-9a-f]{64}|[\w%+/-]{20,128}=?)", 1),
    SecretRule(
        "cloud-init-password",
        ("chpasswd",),
        r"chpasswd:(?:\s|\\n){1,16}(?:expire: \w+(?:\s|\\n){1,16})?list:[ |>-]{0,4}"
        r"((?:(?:\n|\\n)[ -]{1,16}[^\s\x00:]{1,64}:[^\s\x00\\]{1,128})+)",
        1,
    ),
    SecretRule(
        "program-option", ("requirepass", "masterauth"), r"(?:requirepass|masterauth)[ \t]{1,8}([^\s\x00\"']{1,256})", 1
    ),
    SecretRule(
        "program-option",
        ("secret,id=",),
        r"secret,id=[^,\s]{1,64},(?:[\w-]{1,32}=[^,\s]{1,64},){0,4}data=([^,\s]{1,512})",
        1,
        one_word=True,
    ),
    SecretRule(
        "snmp-community",
        ("snmp",),
        r"(?i)\bsnmp(?:get|walk|bulkwalk|set)\b[^\n]{0,256}?\s-c\s{1,4}([^\s\x00]{1,64})",
        1,
    ),
)

TOKEN_RULES = tuple(SecretRule(*token, one_word=True) for token in TOKENS)
# Tokens of gitleaks are at least this long.
TOKEN_LENGTH = 20
RULES = (*OWN_RULES, *TOKEN_RULES)
