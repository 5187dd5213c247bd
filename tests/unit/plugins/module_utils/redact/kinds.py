# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of secrets in logs, dumps, responses and configuration. None was ever valid.

KINDS: name -> (text, secret). The text holds the secret once, as {}.
"""

from __future__ import annotations

import base64
import json

WORD = "Tr0ub4dor-8kZq"
HEX32 = "9f86d081884c7d659a2feaa0c55ad015"
HEX40 = "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"
HEX64 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
MIXED = "q7Xk2LmP9sVtR4wZy8Bn3CdF6gHj5KaE1uQo0iWx"
BODY = (
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"
    "MzEfYyjiWA4R4ypbHqGC0H0+tG3hGbN3MYHaUGfyJ9bZMPAHlrjRtGq7dpS6xZ2e"
)


def key_of(kind: str) -> str:
    """Return the text of a private key, whose lines are the secret."""
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{{}}\n-----END {kind}PRIVATE KEY-----"


def _jwt() -> str:
    parts = (
        {"alg": "RS256", "kid": "standin"},
        {"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:onecloud:x"},
    )
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{text}.{MIXED}{MIXED}"


JWT = _jwt()
FERNET = "gAAAAABl" + MIXED + MIXED + "Zm9vYmFy_-x="

KINDS: dict[str, tuple[str, str]] = {
    # By name, in the notations of logs, configuration and code.
    "assigned": ("password={}", WORD),
    "assigned with blanks": ("password = {}", WORD),
    "quoted": ('password="{}"', "two words, and a comma"),
    "single quotes": ("password='{}'", "it is; here"),
    "back quotes": ("password=`{}`", WORD),
    "yaml": ("sql_password: {}", WORD),
    "yaml block": ("admin_password: |\n  {}\nregion: x", WORD),
    "json": ('{{"password":"{}"}}', WORD),
    "json with blanks": ('{{"Password": "{}", "user": "x"}}', WORD),
    "json with an escape": ('{{"password": "{}"}}', 'quo\\"ted\\\\'),
    "json number": ('{{"password": {}}}', "83471029"),
    "json list": ('{{"passwords": ["{}"]}}', WORD),
    "json in json": ('{{"log": "{{\\"password\\": \\"{}\\"}}"}}', WORD),
    "json in json in json": ('{{"a": "{{\\"b\\": \\"{{\\\\\\"passwd\\\\\\": \\\\\\"{}\\\\\\"}}\\"}}"}}', WORD),
    "map of Go": ("map[passwd:{} user:root]", WORD),
    "struct of Go": ("{{User:root Password:{} Port:3306}}", WORD),
    "struct of Go, %#v": ('options.Options{{Password:"{}", Port:3306}}', WORD),
    "header map of Go": ("map[Content-Type:[x] X-Auth-Token:[{}]]", WORD + WORD),
    "dict of Python": ("{{'admin_password': '{}'}}", WORD),
    "tuple of Python": ("('OS_TOKEN', '{}')", WORD + WORD),
    "element of XML": ("<password>{}</password>", WORD),
    "attribute of XML": ("<graphics type='vnc' passwd='{}'/>", WORD),
    "query of a URL": ("GET /v1/x?user=a&password={}&limit=3", WORD),
    "token in a query": ("GET /ws?access_token={}&x=1", MIXED),
    "query, encoded": ("redirect=%2Fx%3Fpassword%3D{}", WORD),
    "environment": ("OS_PASSWORD={}", WORD),
    "environment of MySQL": ("MYSQL_PWD={}", WORD),
    "environment of PostgreSQL": ("PGPASSWORD={}", WORD),
    "environment of a container, JSON": ('{{"name": "DB_PASSWORD", "value": "{}"}}', WORD),
    "environment of a container, YAML": ("- name: DB_PASSWORD\n  value: {}\n", WORD),
    "option": ("/opt/yunion/bin/climc --os-password {} server-list", WORD),
    "option with =": ("--sql-connection=mysql://x --admin-password={}", WORD),
    "option, one dash": ("-password {}", WORD),
    "option, NUL": ("climc\0--os-password\0{}\0server-list\0", WORD),
    "passphrase": ("ssh_key_passphrase: {}", WORD),
    "secret": ("client_secret={}", WORD),
    "secret key": ("s3_secret_key: {}", WORD),
    "secret access key": ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzz"),
    "access key": ('"accessKeyId": "{}"', MIXED),
    "API key": ("api_key={}", MIXED),
    "API key, two words": ("the API key: {}", MIXED),
    "private key by name": ('"private_key": "{}"', MIXED),
    "encryption key": ("encryption_key={}", MIXED),
    "token": ("token: {}", MIXED),
    "token in prose": ("the token is {} now", MIXED),
    "token, quoted": ('token="{}"', MIXED),
    "session": ("session_id={}", HEX32),
    "session of Java": ("JSESSIONID={}", HEX32),
    "signature": ("&Signature={}", MIXED),
    "credential": ('"credential": "{}"', MIXED),
    "signing key": ("signing_key={}", MIXED),
    "account key": ("AccountKey={};EndpointSuffix=x", MIXED + MIXED + "=="),
    "connection string by name": ('connection_string: "{}"', "Server=x;Uid=y;Pwd=z"),
    "password of Redis": ("requirepass {}", WORD),
    "authentication of LDAP": ("bindpw={}", WORD),
    "pass": ("user=x pass={}", WORD),
    "pwd": ("uid=x;pwd={};", WORD),
    "dsn": ("dsn={}", "region:y@/yunioncloud"),
    # Headers.
    "bearer": ("Authorization: Bearer {}", MIXED),
    "bearer alone": ("sent 'Bearer {}' to it", MIXED),
    "basic": ("authorization: Basic {}", "cmVnaW9uOlRyMHViNGRvci04a1pxQUE="),
    "digest": ("Authorization: Digest {}", 'username="x", response="6629fae49393a05397450978507c4ef1"'),
    "proxy": ("Proxy-Authorization: Basic {}", "cmVnaW9uOlRyMHViNGRvci04a1pxQUE="),
    "request signed for AWS": (
        "Authorization: AWS4-HMAC-SHA256 {}",
        f"Credential=AKIAX/20260101,SignedHeaders=host,Signature={HEX64}",
    ),
    "cookie": ("Cookie: {}", "region=x; yunionauth=" + MIXED),
    "set-cookie": ("Set-Cookie: {}", f"yunionauth={MIXED}; Path=/"),
    "X-Auth-Token": ("X-Auth-Token: {}", HEX32),
    "X-Subject-Token": ("X-Subject-Token: {}", HEX32),
    "X-Api-Key": ("x-api-key: {}", WORD),
    "header of curl": ("curl -H 'X-Auth-Token: {}' https://x", HEX32),
    # Addresses with a login.
    "URL": ("https://admin:{}@10.0.0.1:443/x", WORD),
    "URL of MySQL": ("mysql+pymysql://region:{}@10.0.0.1:3306/region?charset=utf8", "p/w@rd"),
    "URL of Redis without a user": ("redis://:{}@10.0.0.1:6379/0", WORD),
    "URL of RabbitMQ": ("amqp://guest:{}@rabbit.example:5672/", WORD),
    "URL with a token": ("https://{}@git.example/x.git", MIXED),
    "URL, query of InfluxDB": ("http://10.0.0.1:8086/write?u=monitor&p={}", WORD),
    "DSN of Go": ("sql_connection: region:{}@tcp(10.0.0.1:3306)/region", "p@ss:w/rd"),
    "DSN of Go alone": ('connect "region:{}@tcp(10.0.0.1:3306)/region?parseTime=True"', "p,a(s)s"),
    "login without a scheme": ("failed to dial root:{}@10.0.0.1:22", WORD),
    "pgpass": ("db.example:5432:region:region:{}", WORD),
    "netrc": ("machine git.example login x password {}", WORD),
    # Tokens by their own form.
    "JWT": ("found {} in it", JWT),
    "JWT, cut": ("found {}", JWT[: JWT.rfind(".") + 12]),
    "Fernet": ("found {} in it", FERNET),
    "AWS": ("found {} in it", "AKIAQWERTYUIOPASDFGH"),
    "Aliyun": ("found {} in it", "LTAI5tQwErTyUiOpAsDfGhJk"),
    "Tencent": ("found {} in it", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"),
    "Huawei": ("found {} in it", "HPUAQWERTYUIOPASDFGH"),
    "Google API": ("found {} in it", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY"),
    "Google OAuth": ("found {} in it", "ya29.a0AfH6SMBx" + MIXED),
    "GitHub": ("found {} in it", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
    "GitHub, fine-grained": ("found {} in it", "github_pat_11ABCDEFG0" + MIXED + MIXED),
    "GitLab": ("found {} in it", "glpat-zY8x7W6v5U4t3S2r1Q0p"),
    "Slack": ("found {} in it", "xoxb-1234567890123-1234567890123-" + MIXED[:24]),
    "Slack webhook": ("https://hooks.slack.com/services/{}", "T0A1B2C3D/B0A1B2C3D/" + MIXED[:24]),
    "DingTalk webhook": ("https://oapi.dingtalk.com/robot/send?access_token={}", HEX64),
    "Feishu webhook": ("https://open.feishu.cn/open-apis/bot/v2/hook/{}", "1b4e28ba-2fa1-11d2-883f-0016d3cca427"),
    "WeCom webhook": (
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={}",
        "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    ),
    "Telegram": ("https://api.telegram.org/bot{}/getMe", "123456789:AAF" + MIXED[:32]),
    "Discord webhook": ("https://discord.com/api/webhooks/123456789012345678/{}", MIXED),
    "npm": ("found {} in it", "npm_" + MIXED[:36]),
    "PyPI": ("found {} in it", "pypi-AgEIcHlwaS5vcmc" + MIXED + MIXED),
    "Docker Hub": ("found {} in it", "dckr_pat_" + MIXED[:27]),
    "Vault": ("found {} in it", "hvs.CAESI" + MIXED + MIXED + MIXED),
    "Stripe": ("found {} in it", "sk_live_" + MIXED[:24]),
    "SendGrid": ("found {} in it", "SG." + (MIXED + MIXED)[:22] + "." + (MIXED + MIXED)[:43]),
    "OpenAI": ("found {} in it", "sk-" + MIXED + "abcd1234"),
    "Hugging Face": ("found {} in it", "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh"),
    "DigitalOcean": ("found {} in it", "dop_v1_" + HEX64),
    "Grafana": ("found {} in it", "glsa_" + MIXED[:32] + "_1a2b3c4d"),
    "Terraform": ("found {} in it", MIXED[:14] + ".atlasv1." + (MIXED + MIXED)[:64]),
    "OpenShift": ("found {} in it", "sha256~" + (MIXED + MIXED)[:43]),
    "age": ("found {} in it", "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE"),
    "kubeadm": ("kubeadm join --token {} 10.0.0.1:6443", "abcdef.0123456789abcdef"),
    "Ceph": ("[client.admin]\n\tkey = {}", "AQBSdFhcAAAAABAAqwertyuiopasdfghjklzxcvb=="[:38] + "=="),
    "signature of Azure": (
        "https://x.blob.example/c?sv=2020&sig={}&se=2026",
        "aB3%2FdE6gH9jK2mN5pQ8sT1vW4xY7zA0cD3fG6iJ9%3D",
    ),
    "hash of a password": ("root:{}:19000:0:99999:7:::", "$6$rounds=5000$" + MIXED[:16] + "$" + (MIXED * 3)[:86]),
    "bcrypt": ("found {} in it", "$2y$10$" + (MIXED + MIXED)[:53]),
    "argon2": ("found {} in it", "$argon2id$v=19$m=65536,t=3,p=4$" + MIXED[:22] + "$" + MIXED),
    "hash of MySQL": ("authentication_string {}", "*" + HEX40.upper()),
    # Keys and documents over many lines.
    "private key": (key_of(""), BODY),
    "private key of RSA": (key_of("RSA "), BODY),
    "private key of EC": (key_of("EC "), BODY),
    "private key of OpenSSH": (key_of("OPENSSH "), BODY),
    "private key, encrypted": (key_of("ENCRYPTED "), BODY),
    "private key, cut": ("-----BEGIN PRIVATE KEY-----\n{}\n", BODY),
    "private key in JSON": (
        '{{"tls.key": "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n"}}',
        BODY.replace("\n", "\\n"),
    ),
    "PGP": ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{}\n-----END PGP PRIVATE KEY BLOCK-----", BODY),
    "PuTTY": ("Private-Lines: 2\n{}\nPrivate-MAC: x", BODY),
    "kubeconfig, key": ("    client-key-data: {}\n", base64.b64encode(BODY.encode()).decode()),
    "kubeconfig, token": ("users:\n- name: x\n  user:\n    token: {}\n", MIXED),
    "Docker's login": ('{{"auths": {{"registry.example": {{"auth": "{}"}}}}}}', "cmVnaW9uOlRyMHViNGRvci04a1pxQUE="),
    "Secret of Kubernetes": ("kind: Secret\ndata:\n  admin-password: {}\n", "VHIwdWI0ZG9yLThrWnE="),
    # Programs that services run, and SQL.
    "curl": ("curl -s -u admin:{} https://x", WORD),
    "sshpass": ("sshpass -p {} ssh root@x", WORD),
    "mysql": ("mysqldump -h x -u root -p{} region", WORD),
    "redis-cli": ("redis-cli -h x -a {} ping", WORD),
    "ipmitool": ("ipmitool -I lanplus -H x -U root -P {} power status", WORD),
    "ldapsearch": ("ldapsearch -x -D cn=x -w {} -b dc=x", WORD),
    "openssl": ("openssl rsa -passin pass:{} -in x", WORD),
    "CREATE USER": ("CREATE USER 'x'@'%' IDENTIFIED BY '{}'", WORD),
    "CREATE USER with a plugin": ("CREATE USER x IDENTIFIED WITH mysql_native_password BY '{}'", WORD),
    "SET PASSWORD": ("SET PASSWORD FOR x = PASSWORD('{}')", WORD),
    "libvirt's graphics": ("-vnc :1,password=on -object secret,id=sec0,data={}", WORD),
    "chpasswd of cloud-init": ("chpasswd:\n  list: |\n    root:{}\n", WORD),
}


def planted(name: str) -> tuple[bytes, bytes]:
    """Return the text of a kind and its secret, as bytes."""
    text, secret = KINDS[name]
    return text.format(secret).encode(), secret.encode()
