// @ts-nocheck -- as it stands in the uploads document, but for this import
import { mocId, userId } from "./stream.js";

import { broadcastToUser, createNotificationMessage } from '@/lib/websocket'

// Success notification
await broadcastToUser(
  userId,
  createNotificationMessage(
    'Upload Complete',
    'Your file has been uploaded successfully',
    'success',
    `/mocs/${mocId}`,
    'View MOC'
  )
)

// Error notification
await broadcastToUser(
  userId,
  createNotificationMessage(
    'Upload Failed',
    'Unable to process your file. Please try again.',
    'error'
  )
)
