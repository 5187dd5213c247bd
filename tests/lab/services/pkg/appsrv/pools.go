// Copyright: cloudpods.diagnostics contributors
// GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package appsrv

// The pools of the HTTP framework itself.
const (
	HTTPPool     = "HttpRequestWorkerManager"
	HTTPGetPool  = "HttpGetRequestWorkerManager"
	InternalPool = "InternalHttpRequestWorkerManager"
)

// poolPlan describes a pool. db: its workers need database connections. overflow: its queue
// is unlimited.
type poolPlan struct {
	name         string
	max, backlog int
	db, overflow bool
}

// Pools that every service has, besides those of the framework.
var commonPools = []poolPlan{
	{name: "InformerWorkerManager", max: 10, backlog: 10240},
	{name: "client_catalog_listener_worker", max: 1, backlog: 2048},
	{name: "LogClientWorkerManager", max: 1, backlog: 50},
	{name: "tenant_cache_sync_worker", max: 1, backlog: 1, db: true, overflow: true},
	{name: "(AuthManager)sync_worker", max: 1, backlog: 1, db: true, overflow: true},
	{name: "(EndpointChangeManager)sync_worker", max: 1, backlog: 1, db: true, overflow: true},
	{name: "(ServiceConfigManager)sync_worker", max: 1, backlog: 1, db: true, overflow: true},
	{name: "CronJobWorkers", max: 4, backlog: 1024, db: true},
}

// Pools that single components have besides those.
var ownPools = map[string][]poolPlan{
	"region": {
		{name: "usageCalculateWorker", max: 1, backlog: 1024, db: true},
		{name: "realTimeUsageCalculateWorker", max: 1, backlog: 1024, db: true},
		{name: "NotifyClientWorkerManager", max: 1, backlog: 1024},
		{name: "taskCleanupWorkerManager", max: 1, backlog: 1024, db: true},
		{name: "SaveTaskUpcallResultWorkerManager", max: 1, backlog: 1024, db: true},
		{name: "TaskWorkerManager", max: 4, backlog: 1024, db: true},
		{name: "LocalTaskWorkerManager", max: 4, backlog: 1024, db: true},
		{name: "SkuSyncWorkerManager", max: 8, backlog: 1024},
		{name: "SSLCertificateCreateWorkerManager", max: 8, backlog: 1024},
		{name: "opslog_query_worker", max: 2, backlog: 512, db: true},
		{name: "opslog_write_worker", max: 1, backlog: 2048, db: true},
		{name: "syncWorkerManager-1", max: 1, backlog: 2048, db: true},
		{name: "syncWorkerManager-2", max: 1, backlog: 2048, db: true},
		{name: "syncWorkerManager-3", max: 1, backlog: 2048, db: true},
		{name: "cloudAccountAutoProbeWorkerManager", max: 10, backlog: 2048, db: true},
		{name: "CloudProviderSyncInfoTaskWorkerManager", max: 10, backlog: 512, db: true},
		{name: "CloudProviderSyncLocalTaskWorkerManager", max: 10, backlog: 512},
	},
	"keystone": {
		{name: "TaskWorkerManager", max: 4, backlog: 1024, db: true},
		{name: "LocalTaskWorkerManager", max: 4, backlog: 1024, db: true},
	},
	"glance": {
		{name: "TaskWorkerManager", max: 4, backlog: 1024, db: true},
		{name: "image_streaming_worker", max: 20, backlog: 1024},
		{name: "ImagePipelineTaskWorkerManager", max: 5, backlog: 1024, db: true},
	},
	"host": {
		{name: "GeneralDelayedTaskWorkers", max: 2, backlog: 1024},
		{name: "ImageCacheDelayTaskWorkers", max: 4, backlog: 1024},
		{name: "BackupDelayTaskWorkers", max: 2, backlog: 1024},
		{name: "GuestStart", max: 1, backlog: 1024},
		{name: "nbd_worker", max: 4, backlog: 1024},
	},
	"baremetal-agent": {
		{name: "BaremetalTaskWorkerManager", max: 8, backlog: 1024},
	},
}

// makePools makes the pools of a component. getWorkers: size of the one that serves GET requests.
// Without a database no worker needs a connection.
func makePools(component string, database bool, getWorkers int) []*SWorkerManager {
	plans := append([]poolPlan{}, commonPools...)
	plans = append(plans, ownPools[component]...)
	plans = append(plans,
		poolPlan{name: HTTPPool, max: 8, backlog: 80, db: true},
		poolPlan{name: HTTPGetPool, max: getWorkers, backlog: 80, db: true},
		poolPlan{name: InternalPool, max: 1, backlog: 10})
	pools := make([]*SWorkerManager, len(plans))
	for i, plan := range plans {
		pools[i] = NewWorkerManager(plan.name, plan.max, plan.backlog)
		pools[i].dbWorker, pools[i].allowOverflow = plan.db && database, plan.overflow
	}
	return pools
}
